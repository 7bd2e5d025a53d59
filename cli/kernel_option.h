// --kernel: one version or a list of them, and what is said of versions that are newer than anything known.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/arguments.h"
#include "ops/program.h"
#include "ops/recording.h"

namespace tscsim::cli {

// The versions of --kernel in the order of the command line, each once; empty when the option is not given. Throws
// UsageError for a list with an empty place, ops::InputError for a word that is no version or one that the model does not
// know.
std::vector<std::string> kernels_of(const Arguments& arguments);

// The same for a command that takes one: empty text when the option is not given. Throws UsageError for a list.
std::string one_kernel_of(const Arguments& arguments);

// Give notice of a kernel that is taken for the newest one known; nothing for others, and for words that are no version.
void notice_newer_kernel(std::string_view kernel);
void notice_newer_guest(int major, int minor);

// The same for all hosts of a program, and its Linux guest, and for those of a recording.
void notice_newer_kernels(const ops::Program& program);
void notice_newer_kernels(const ops::Header& header);

// The same for scenarios that are there but run by others; what cannot be read is for its reader to refuse.
void notice_newer_kernels_in(const std::vector<std::string>& files, const Arguments& arguments);

}  // namespace tscsim::cli
