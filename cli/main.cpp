#include "cli/entry.h"

int main(int argc, char** argv) { return tscsim::cli::run_tscsim(argc, argv, nullptr); }
