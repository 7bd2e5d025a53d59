// Prints all content of a sweep's database, for comparison.
#include <iostream>

#include "sweep/database.h"

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) std::cout << tscsim::sweep::Database::open(argv[i], false).content();
}
