#include "kvm_backend/ioctl/fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/kvm.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <utility>

#include "kvm_backend/ioctl/abi.h"
#include "kvm_backend/ioctl/system.h"
#include "ops/error.h"

namespace tscsim::kvm_backend {
namespace {

bool is_open(int number) { return ::fcntl(number, F_GETFD) >= 0; }

TEST(Fd, ClosesItselfOnce) {
  int number = -1;
  {
    Fd first = open_file("/dev/null", O_RDONLY).fd;
    ASSERT_TRUE(first);
    number = first.number();
    const Fd second = std::move(first);
    EXPECT_FALSE(first);
    EXPECT_EQ(second.number(), number);
    EXPECT_TRUE(is_open(number));
  }
  EXPECT_FALSE(is_open(number));
}

TEST(Fd, IsNotInheritedByPrograms) {
  const Fd fd = open_file("/dev/null", O_RDONLY).fd;
  EXPECT_NE(::fcntl(fd.number(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(Fd, ReportsErrnoOfARefusedCall) {
  const Fd fd = open_file("/dev/null", O_RDONLY).fd;
  const CallResult result = fd.call(KVM_GET_API_VERSION);
  EXPECT_FALSE(result.ok());
  EXPECT_EQ(result.error, ENOTTY);
}

TEST(OpenFile, ReportsErrno) {
  const OpenResult result = open_file("/no/such/file", O_RDONLY);
  EXPECT_FALSE(result.fd);
  EXPECT_EQ(result.error, ENOENT);
}

// Request numbers of Linux v6.12 include/uapi/linux/kvm.h as a C compiler computes them.
TEST(Abi, RequestNumbersHoldTheSizesThatCSees) {
  EXPECT_EQ(abi::kGetSupportedCpuid, 0xc008ae05UL);
  EXPECT_EQ(abi::kGetMsrs, 0xc008ae88UL);
  EXPECT_EQ(abi::kSetMsrs, 0x4008ae89UL);
  EXPECT_EQ(abi::kSetCpuid2, 0x4008ae90UL);
}

std::string text_of_opening(const std::string& device) {
  try {
    const System system(device);
  } catch (const ops::TargetError& error) {
    return error.what();
  }
  return "opened";
}

TEST(System, SaysThatTheDeviceIsMissing) {
  EXPECT_EQ(text_of_opening("/no/such/kvm"),
            "/no/such/kvm does not exist: this kernel has no KVM, or its module is not loaded\n"
            "  next: load kvm-intel or kvm-amd, enable nested virtualisation, or use a lab target");
}

TEST(System, SaysThatTheDeviceIsNotKvm) {
  EXPECT_EQ(text_of_opening("/dev/null"),
            "/dev/null is not a KVM device: KVM_GET_API_VERSION failed: ENOTTY\n"
            "  next: name the KVM device, usually /dev/kvm");
}

TEST(System, SaysThatTheDeviceIsNotPermitted) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may open everything";
  char path[] = "/tmp/tscsim-kvm-XXXXXX";
  const Fd file(::mkstemp(path));
  ASSERT_TRUE(file);
  ASSERT_EQ(::fchmod(file.number(), 0), 0);
  EXPECT_EQ(text_of_opening(path), std::string(path) +
                                       " is not permitted: opening it failed: EACCES\n"
                                       "  next: join the group 'kvm' (usermod -aG kvm USER), or run as root");
  ::unlink(path);
}

}  // namespace
}  // namespace tscsim::kvm_backend
