// tscsim as one of several MPI ranks; `tscsim sweep` becomes it where mpirun has started it.
#include <mpi.h>

#include <iostream>
#include <stdexcept>

#include "cli/entry.h"

namespace {

constexpr int kTag = 1;

class MpiRanks final : public tscsim::sweep::Ranks {
 public:
  MpiRanks() {
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
  }
  int rank() const override { return rank_; }
  int size() const override { return size_; }

  std::uint64_t shared(std::uint64_t value) override {
    MPI_Bcast(&value, 1, MPI_UINT64_T, 0, MPI_COMM_WORLD);
    return value;
  }
  void send(const std::string& bytes) override {
    if (bytes.size() > INT32_MAX) throw std::runtime_error("a batch is too large to send");
    MPI_Ssend(bytes.data(), static_cast<int>(bytes.size()), MPI_BYTE, 0, kTag, MPI_COMM_WORLD);
  }
  std::string receive(int rank) override {
    MPI_Status status;
    MPI_Probe(rank, kTag, MPI_COMM_WORLD, &status);
    int size = 0;
    MPI_Get_count(&status, MPI_BYTE, &size);
    std::string bytes(static_cast<std::size_t>(size), '\0');
    MPI_Recv(bytes.data(), size, MPI_BYTE, rank, kTag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    return bytes;
  }

 private:
  int rank_ = 0, size_ = 1;
};

}  // namespace

int main(int argc, char** argv) {
  int provided = 0;
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided);
  MpiRanks ranks;
  if (ranks.rank() != 0) {  // what is wrong with the command line is said once
    std::cout.setstate(std::ios::failbit);
    std::cerr.setstate(std::ios::failbit);
  }
  const int status = tscsim::cli::run_tscsim(argc, argv, &ranks);
  // The others may be waiting for this one.
  if (status != 0 && ranks.rank() == 0) MPI_Abort(MPI_COMM_WORLD, status);
  MPI_Finalize();
  return ranks.rank() == 0 ? status : 0;
}
