// The lab's parts that need no machine: archive, kernel image, boot disk, targets, mirror, processes,
// protocol.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

#include "kvm_backend/lab/apt.h"
#include "kvm_backend/lab/bochs_boot.h"
#include "kvm_backend/lab/cpio.h"
#include "kvm_backend/lab/files.h"
#include "kvm_backend/lab/heard.h"
#include "kvm_backend/lab/kernel_image.h"
#include "kvm_backend/lab/lab.h"
#include "kvm_backend/lab/process.h"
#include "kvm_backend/lab/protocol.h"
#include "kvm_backend/lab/targets.h"
#include "ops/error.h"
#include "ops/executor.h"

namespace tscsim::kvm_backend::lab {
namespace {

using namespace std::literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <class T>
void put(std::string& bytes, std::size_t at, T value) {
  std::memcpy(&bytes[at], &value, sizeof value);
}

// ---- cpio

TEST(Cpio, IsWhatTheKernelUnpacks) {
  CpioWriter writer;
  writer.add_directory("d");
  writer.add_file("d/f", "abcde", true);
  const std::string archive = writer.finish();
  // Header of 110 bytes, name with its 0, padding to 4: "d" ends at 112, "d/f" begins there.
  EXPECT_EQ(archive.substr(0, 22), "07070100000001000041ed");
  EXPECT_EQ(archive.substr(110, 2), "d\0"sv);
  EXPECT_EQ(archive.substr(112, 22), "07070100000002000081ed");
  EXPECT_EQ(archive.substr(112 + 54, 8), "00000005");  // size
  EXPECT_EQ(archive.substr(112 + 110, 6), "d/f\0\0\0"sv.substr(0, 6));
  EXPECT_EQ(archive.size() % 4, 0u);
  EXPECT_THAT(archive, HasSubstr("abcde"));
  EXPECT_THAT(archive, HasSubstr("TRAILER!!!"));
}

TEST(Cpio, SameContentSameBytes) {
  const auto make = [] {
    CpioWriter writer;
    writer.add_file("a", "x");
    return writer.finish();
  };
  EXPECT_EQ(make(), make());
}

// ---- kernel image

std::string bzimage(std::string_view payload) {
  std::string image(0x400, '\0');
  image[0x1f1] = 1;
  image.replace(0x202, 4, "HdrS");
  put(image, 0x248, std::uint32_t{16});
  put(image, 0x24c, static_cast<std::uint32_t>(payload.size()));
  return image + std::string(16, '\0') + std::string(payload);
}

TEST(KernelImage, FindsThePayloadAndItsCompression) {
  const std::string image = bzimage("\x28\xb5\x2f\xfd-packed-SIZE");
  const Payload payload = find_payload(image);
  EXPECT_EQ(payload.program, "zstd");
  EXPECT_EQ(image.substr(payload.offset, payload.bytes), "\x28\xb5\x2f\xfd-packed-");
}

TEST(KernelImage, RefusesWhatIsNoKernel) {
  EXPECT_THROW(find_payload("too short"), ops::TargetError);
  EXPECT_THROW(find_payload(std::string(0x1000, 'x')), ops::TargetError);
  EXPECT_THROW(find_payload(bzimage("unknown compression")), ops::TargetError);
  std::string cut = bzimage("\x28\xb5\x2f\xfd-packed-SIZE");
  EXPECT_THROW(find_payload(cut.substr(0, cut.size() - 1)), ops::TargetError);
}

TEST(KernelImage, ReadsAModulesDependencies) {
  EXPECT_THAT(dependencies_of("\0license=GPL\0depends=kvm,ccp\0x=y\0"sv), ElementsAre("kvm", "ccp"));
  EXPECT_THAT(dependencies_of("\0depends=\0x=y\0"sv), ElementsAre());
  EXPECT_THAT(dependencies_of("no notes at all"), ElementsAre());
  EXPECT_THAT(dependencies_of("\0softdepends=a\0depends=b\0"sv), ElementsAre("b"));
}

// ---- boot disk

// One loadable segment and a PVH note.
std::string elf(std::uint32_t entry) {
  std::string file(0x300, '\0');
  file.replace(0, 4,
               "\x7f"
               "ELF");
  put(file, 32, std::uint64_t{64});
  put(file, 54, std::uint16_t{56});
  put(file, 56, std::uint16_t{2});
  const auto segment = [&](std::size_t at, std::uint32_t type, std::uint64_t offset, std::uint64_t address,
                           std::uint64_t size) {
    put(file, at, type);
    put(file, at + 8, offset);
    put(file, at + 24, address);
    put(file, at + 32, size);
  };
  segment(64, 1, 0x200, 0x1000000, 4);
  segment(120, 4, 0x280, 0, 20);
  file.replace(0x200, 4, "code");
  put(file, 0x280, std::uint32_t{4});
  put(file, 0x284, std::uint32_t{4});
  put(file, 0x288, std::uint32_t{18});
  file.replace(0x28c, 4, "Xen\0"sv);
  put(file, 0x290, entry);
  return file;
}

TEST(BochsBoot, FlattensAKernel) {
  const FlatKernel kernel = flatten(elf(0x1000123));
  EXPECT_EQ(kernel.bytes, "code");
  EXPECT_EQ(kernel.address, 0x1000000u);
  EXPECT_EQ(kernel.entry, 0x1000123u);
}

TEST(BochsBoot, RefusesAKernelWithoutPvhAndACutOne) {
  std::string other = elf(1);
  put(other, 0x288, std::uint32_t{17});
  EXPECT_THROW(flatten(other), ops::TargetError);
  EXPECT_THROW(flatten(elf(1).substr(0, 0x100)), ops::TargetError);
  EXPECT_THROW(flatten("MZ, not ELF"), ops::TargetError);
}

TEST(BochsBoot, TheDiskHoldsThePiecesWhereTheSectorLooksForThem) {
  const std::string initrd(70'000, 'i');
  const std::string disk = boot_disk({std::string(200'000, 'k'), 0x1000000, 0x1000010}, initrd, "quiet");
  EXPECT_EQ(disk.substr(510, 2), "\x55\xaa");
  EXPECT_EQ(disk.size() % (16 * 63 * 512), 0u);
  const std::size_t chunk = 65'536;  // 1: start info, 2..5: kernel (200,000 bytes), 6, 7: initramfs
  EXPECT_EQ(disk.substr(chunk, 4), "\x78\xc5\x6e\x33");
  EXPECT_EQ(disk.substr(chunk + 0x100, 6), "quiet\0"sv);
  EXPECT_EQ(disk[2 * chunk], 'k');
  EXPECT_EQ(disk[2 * chunk + 199'999], 'k');
  EXPECT_EQ(disk[2 * chunk + 200'000], '\0');
  EXPECT_EQ(disk[6 * chunk], 'i');
}

// ---- targets

TEST(Targets, AreFoundByTheirNames) {
  EXPECT_EQ(lab_targets().size(), 8u);
  for (const LabTarget& target : lab_targets()) EXPECT_EQ(find_lab_target(target.name)->name, target.name);
  EXPECT_EQ(find_lab_target("6.12")->name, "amd-6.12");
  EXPECT_EQ(find_lab_target("intel-6.1")->module, "kvm-intel");
  EXPECT_THAT(find_lab_target("amd-6.1")->package_pattern, "^linux-image-6\\.1\\.[^ ]*-cloud-amd64$");
}

TEST(Targets, AnyKernelOfASuiteIsOne) {
  const auto newest = find_lab_target("intel-trixie-backports");
  ASSERT_TRUE(newest);
  EXPECT_THAT(newest->suites, ElementsAre("trixie-backports"));
  const auto named = find_lab_target("amd-sid/linux-image-7.2.13+deb14-cloud-amd64");
  ASSERT_TRUE(named);
  EXPECT_EQ(named->package_pattern, "^linux-image-7\\.2\\.13\\+deb14-cloud-amd64$");
}

TEST(Targets, WhatIsNoTargetIsNone) {
  for (const char* name : {"", "amd-", "7.9", "arm-6.12", "amd-9.9", "amd-../../etc", "amd-sid/../../x", "amd-sid/bash",
                           "intel-sid/linux-image-;x"})
    EXPECT_FALSE(find_lab_target(name)) << name;
}

// ---- mirror

TEST(Mirror, IsTheDebianArchiveOfEitherFormat) {
  const ScratchFolder folder;
  std::filesystem::create_directories(folder.path() / "sources.list.d");
  EXPECT_EQ(find_mirror(folder.path()).uri, "");
  write_file(folder.path() / "sources.list.d/a.sources",
             "Types: deb\nURIs: http://x.invalid/debian-security\nSigned-By: /k1\n\nTypes: deb\nURIs: "
             "http://x.invalid/debian/\nSigned-By: /k2\n");
  EXPECT_EQ(find_mirror(folder.path()).uri, "http://x.invalid/debian/");
  EXPECT_EQ(find_mirror(folder.path()).signed_by, "/k2");
  write_file(folder.path() / "sources.list",
             "# deb http://no.invalid/debian x\ndeb [arch=amd64 signed-by=/k3] http://y.invalid/debian "
             "bookworm main\n");
  EXPECT_EQ(find_mirror(folder.path()).uri, "http://y.invalid/debian");
  EXPECT_EQ(find_mirror(folder.path()).signed_by, "/k3");
}

// ---- processes

TEST(Process, PassesInputOutputAndStatus) {
  const ScratchFolder folder;
  write_file(folder.path() / "in", "hello");
  ProcessSpec spec;
  spec.argv = {"sh", "-c", "cat; printf %s \"$MARK\"; echo oops >&2; exit 7"};
  spec.environment = {"MARK=!"};
  spec.input_file = folder.path() / "in";
  spec.output_file = folder.path() / "out";
  spec.error_file = folder.path() / "err";
  EXPECT_EQ(run_process(spec).status, 7);
  EXPECT_EQ(read_file(spec.output_file), "hello!");
  EXPECT_EQ(tail_of(spec.error_file, 1), "  | oops\n");
}

TEST(Process, IsStoppedAtItsLimitWithItsChildren) {
  ProcessSpec spec;
  spec.argv = {"sh", "-c", "sleep 1000 & wait"};
  spec.limit = std::chrono::milliseconds(50);
  EXPECT_TRUE(run_process(spec).timed_out);
}

TEST(Process, IsStoppedAtItsLimitOfCpuTime) {
  ProcessSpec spec;
  spec.argv = {"sh", "-c", "while :; do :; done"};
  spec.cpu_limit = std::chrono::milliseconds(50);
  const ProcessEnd end = run_process(spec);
  EXPECT_TRUE(end.timed_out);
  EXPECT_GT(end.cpu_taken, spec.cpu_limit);
  spec.argv = {"sleep", "0.2"};
  EXPECT_FALSE(run_process(spec).timed_out) << "waiting costs none";
}

TEST(Process, IsStoppedByAnInterrupt) {
  const std::atomic<bool> interrupted{true};
  ProcessSpec spec;
  spec.argv = {"sleep", "1000"};
  spec.interrupted = &interrupted;
  EXPECT_THROW(run_process(spec), ops::Interrupted);
}

TEST(Process, AMissingProgramIs127) {
  ProcessSpec spec;
  spec.argv = {"there-is-no-such-program"};
  EXPECT_EQ(run_process(spec).status, 127);
}

// ---- folders and protocol

TEST(NewFolder, AppearsCompleteOrNotAtAll) {
  const ScratchFolder scratch;
  const auto wanted = scratch.path() / "made";
  {
    NewFolder folder(wanted);
    write_file(folder.path() / "half", "x");
  }
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path()));
  {
    NewFolder folder(wanted);
    write_file(folder.path() / "all", "x");
    folder.commit();
  }
  EXPECT_EQ(read_file(wanted / "all"), "x");
}

TEST(Protocol, JobsSurviveTheWayIn) {
  Jobs jobs;
  jobs.target = "lab:amd-6.12";
  jobs.seed = UINT64_MAX;
  jobs.doctor = true;
  jobs.jobs.resize(2);
  jobs.jobs[1].program.name = "second";
  jobs.jobs[1].program.hosts.resize(2);
  jobs.jobs[1].host = 1;
  jobs.jobs[1].earlier.emplace().header.scenario = "second";
  jobs.jobs[1].saved[0] = {{0x200000, std::string(63, '\0') + "\xff"}};
  const Jobs back = jobs_from_text(to_text(jobs));
  EXPECT_EQ(back.target, jobs.target);
  EXPECT_EQ(back.seed, jobs.seed);
  EXPECT_TRUE(back.doctor);
  ASSERT_EQ(back.jobs.size(), 2u);
  EXPECT_FALSE(back.jobs[0].earlier);
  EXPECT_EQ(back.jobs[1].program.name, "second");
  EXPECT_EQ(back.jobs[1].host, 1);
  EXPECT_EQ(back.jobs[1].earlier, jobs.jobs[1].earlier);
  EXPECT_EQ(back.jobs[1].saved, jobs.jobs[1].saved);
  EXPECT_THROW(jobs_from_text(""), ops::InputError);
  EXPECT_THROW(jobs_from_text("{\"format\":\"tscsim-jobs-1\"}\n"), ops::InputError);
}

TEST(MachineFor, GivesWhatTheAuthorWroteAndAnEmulatorCan) {
  const MachineSpec usual = default_lab_options(*find_lab_target("6.12")).machine;
  const struct {
    const char* why;
    bool written;
    std::uint32_t khz;
    bool tsc_clocksource;
    std::uint32_t machine_khz;
    const char* clocksource;
  } cases[] = {
      {"nothing written: programs share a boot", false, 2'600'000, true, 2'000'000, "tsc"},
      {"a rate", true, 2'600'000, true, 2'600'000, "tsc"},
      {"a rate that nothing boots on", true, 1, true, 2'000'000, "tsc"},
      {"another clocksource: the true rate", false, 2'600'000, false, 0, "acpi_pm"},
      {"both: as written", true, 3'000'000, false, 3'000'000, "acpi_pm"},
  };
  for (const auto& c : cases) {
    ops::HostSpec host;
    host.tsc_khz_written = c.written;
    host.tsc_khz = c.khz;
    host.tsc_clocksource = c.tsc_clocksource;
    const MachineSpec machine = machine_for(usual, Emulator::qemu, host);
    EXPECT_EQ(machine.tsc_khz, c.machine_khz) << c.why;
    EXPECT_EQ(machine.clocksource, c.clocksource) << c.why;
  }
}

TEST(Lab, CpusAreGivenWhereTheEmulatorCan) {
  ops::HostSpec host;
  host.pcpus.resize(2);
  MachineSpec exact, noisy;
  noisy.mode = Mode::noisy;
  EXPECT_EQ(machine_for(exact, Emulator::qemu, host).cpus, 1);
  EXPECT_EQ(machine_for(noisy, Emulator::qemu, host).cpus, 2);
  EXPECT_EQ(machine_for(exact, Emulator::bochs, host).cpus, 2);
  host.pcpus.resize(64);
  EXPECT_EQ(machine_for(noisy, Emulator::qemu, host).cpus, 4);
  host.tsc_khz_written = true;
  host.tsc_khz = 2'600'000;
  EXPECT_EQ(machine_for(noisy, Emulator::qemu, host).tsc_khz, 0u) << "the TSC is the real one";
}

// ---- what the machine says

TEST(Heard, ALineThatIsNotWhatItShouldBeIsTheMachinesFailure) {
  const char* const lines[] = {
      R"({"type":7})",
      R"({"type":"memory","host":"0","lines":[]})",
      R"({"type":"memory","host":0,"lines":[["0x200000","zz"]]})",
      R"({"type":"memory","host":0,"lines":[["elsewhere","00"]]})",
      R"({"type":"failed"})",
      R"({"type":"doctor"})",
      R"({"type":"log","text":1})",
      R"({"type":"end","entries":1})",
  };
  for (const char* line : lines) {
    const Heard heard = hear(std::string("{\"type\":\"job\",\"index\":0}\n") + line + "\n{\"type\":\"done\"}\n");
    ASSERT_EQ(heard.results.size(), 1u) << line;
    EXPECT_THAT(heard.results[0].failure, HasSubstr("cannot be read")) << line;
    EXPECT_TRUE(heard.done) << line;
  }
}

}  // namespace
}  // namespace tscsim::kvm_backend::lab
