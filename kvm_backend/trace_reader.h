// KVM's tracepoints, read from tracefs: an instance of our own, so that nobody else's tracing is disturbed, with the
// TSC as its clock. It costs two system calls for each operation that calls KVM, and some hundred instructions for each
// event, so it is on where the machine is ours (the lab) and off elsewhere.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kvm_backend/ioctl/fd.h"
#include "ops/trace_event.h"

namespace tscsim::kvm_backend {

// Where a number lies in a record, from a line of an event's format file.
struct TraceField {
  std::size_t offset = 0;
  std::size_t bytes = 0;  // 0: the event does not have it
  bool is_signed = false;
  std::uint64_t in(std::string_view record) const;  // sign-extended; 0 when the record is too short
};

struct TraceFormat {
  std::uint16_t id = 0;
  TraceField vcpu;
  std::array<TraceField, ops::kMaxTraceValues> values{};
};

// Throws std::runtime_error naming the value that the format does not have.
TraceFormat trace_format(ops::TraceKind kind, const std::string& text);

// One page of a ring buffer, as trace_pipe_raw hands it out. Kernel: include/linux/ring_buffer.h and the files
// events/header_page and events/header_event of tracefs.
struct TracePage {
  std::vector<ops::TraceEvent> events;
  bool lost = false;  // the buffer was full, and events before these are gone
};
TracePage trace_page(std::string_view page, const std::array<TraceFormat, ops::kTraceKinds>& formats);

class TraceReader {
 public:
  // Makes the instance and enables the events. Throws std::runtime_error when tracefs is not there or not ours to
  // use.
  TraceReader();
  ~TraceReader();
  TraceReader(const TraceReader&) = delete;
  TraceReader& operator=(const TraceReader&) = delete;

  // What was printed on this CPU (the kernel's number) since the last call, oldest first. Throws std::runtime_error
  // when events were lost.
  std::vector<ops::TraceEvent> take(int cpu);

  // Forgets what was printed on all CPUs.
  void forget();

  // The host's TSC was moved: the buffers do not let their stamps go back, so they begin anew. Throws likewise.
  void reset();

 private:
  void enable(ops::TraceKind kind);
  const Fd& pipe_of(int cpu);

  std::string folder_;  // of the instance
  std::array<TraceFormat, ops::kTraceKinds> formats_{};
  std::vector<Fd> pipes_;  // by CPU, opened when first needed
  std::vector<char> page_;
};

}  // namespace tscsim::kvm_backend
