#include "kvm_backend/trace_reader.h"

#include <gtest/gtest.h>

#include <cstring>

namespace tscsim::kvm_backend {
namespace {

using ops::TraceKind;

// As Linux 6.12 describes two of them.
constexpr const char* kOffsetFormat = R"(name: kvm_write_tsc_offset
ID: 1557
format:
	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:int common_pid;	offset:4;	size:4;	signed:1;

	field:unsigned int vcpu_id;	offset:8;	size:4;	signed:0;
	field:__u64 previous_tsc_offset;	offset:16;	size:8;	signed:0;
	field:__u64 next_tsc_offset;	offset:24;	size:8;	signed:0;

print fmt: "vcpu=%u prev=%llu next=%llu", REC->vcpu_id, REC->previous_tsc_offset, REC->next_tsc_offset
)";
constexpr const char* kPageFormat = R"(name: kvm_pvclock_update
ID: 1552
format:
	field:unsigned int vcpu_id;	offset:8;	size:4;	signed:0;
	field:__u32 version;	offset:12;	size:4;	signed:0;
	field:__u64 tsc_timestamp;	offset:16;	size:8;	signed:0;
	field:__u64 system_time;	offset:24;	size:8;	signed:0;
	field:__u32 tsc_to_system_mul;	offset:32;	size:4;	signed:0;
	field:__s8 tsc_shift;	offset:36;	size:1;	signed:1;
	field:__u8 flags;	offset:37;	size:1;	signed:0;
)";

std::array<TraceFormat, ops::kTraceKinds> formats() {
  std::array<TraceFormat, ops::kTraceKinds> all{};
  all[static_cast<std::size_t>(TraceKind::write_tsc_offset)] = trace_format(TraceKind::write_tsc_offset, kOffsetFormat);
  all[static_cast<std::size_t>(TraceKind::pvclock_update)] = trace_format(TraceKind::pvclock_update, kPageFormat);
  all[static_cast<std::size_t>(TraceKind::track_tsc)].id = 1555;
  all[static_cast<std::size_t>(TraceKind::update_master_clock)].id = 1556;
  return all;
}

template <class Int>
void add(std::string& bytes, Int value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

std::string offset_record(std::uint32_t vcpu, std::uint64_t previous, std::uint64_t next) {
  std::string record;
  add<std::uint64_t>(record, 1557);
  add<std::uint64_t>(record, vcpu);
  add(record, previous);
  add(record, next);
  return record;
}

std::string page_of(std::uint64_t first_tsc, const std::string& data, std::uint64_t flags = 0) {
  std::string page;
  add(page, first_tsc);
  add<std::uint64_t>(page, data.size() | flags);
  page += data;
  page.resize(4096);
  return page;
}

std::uint32_t head(std::uint32_t type, std::uint32_t delta) { return type | delta << 5; }

TEST(TraceReader, ReadsRecordsAndTheirTimes) {
  std::string data;
  add(data, head(8, 0));  // 8 words
  data += offset_record(0, 0, 18'446'744'061'588'240'530u);
  add(data, head(30, 3));  // time goes on by 1 << 27 | 3
  add<std::uint32_t>(data, 1);
  add(data, head(0, 7));  // a record with its length beside it
  add<std::uint32_t>(data, 4 + 32);
  data += offset_record(1, 5, 6);
  const TracePage page = trace_page(page_of(12'121'574'050, data), formats());
  ASSERT_EQ(page.events.size(), 2u);
  EXPECT_FALSE(page.lost);
  EXPECT_EQ(page.events[0].kind, TraceKind::write_tsc_offset);
  EXPECT_EQ(page.events[0].vcpu, 0);
  EXPECT_EQ(page.events[0].tsc, 12'121'574'050u);
  EXPECT_EQ(page.events[0].values[1], 18'446'744'061'588'240'530u);
  EXPECT_EQ(page.events[1].vcpu, 1);
  EXPECT_EQ(page.events[1].tsc, 12'121'574'050u + (1u << 27) + 3 + 7);
  EXPECT_EQ(page.events[1].values[0], 5u);
}

TEST(TraceReader, AnAbsoluteTimeStampReplacesTheTime) {
  std::string data;
  add(data, head(31, 9));
  add<std::uint32_t>(data, 2);
  add(data, head(8, 1));
  data += offset_record(0, 0, 1);
  const TracePage page = trace_page(page_of((std::uint64_t{1} << 60) + 77, data), formats());
  ASSERT_EQ(page.events.size(), 1u);
  EXPECT_EQ(page.events[0].tsc, (std::uint64_t{1} << 60) + (2u << 27) + 9 + 1);
}

TEST(TraceReader, AShiftHasASign) {
  std::string record;
  add<std::uint64_t>(record, 1552);
  add<std::uint32_t>(record, 1);
  add<std::uint32_t>(record, 2);
  add<std::uint64_t>(record, 0x3d2f3cce);
  add<std::uint64_t>(record, 0x539e045);
  add<std::uint32_t>(record, 0xc5377ec6);
  add<std::uint32_t>(record, 0x01ff);  // shift -1, flags 1
  std::string data;
  add(data, head(10, 0));
  data += record;
  const TracePage page = trace_page(page_of(1, data), formats());
  ASSERT_EQ(page.events.size(), 1u);
  const std::array<std::uint64_t, 6> expected = {2, 0x3d2f3cce, 0x539e045, 0xc5377ec6, ~std::uint64_t{0}, 1};
  EXPECT_EQ(page.events[0].values, expected);
}

TEST(TraceReader, OtherRecordsAndPaddingAreSkippedAndLossIsTold) {
  std::string data;
  add(data, head(2, 0));
  add<std::uint64_t>(data, 4711);
  add(data, head(29, 0));  // padding: the rest of the page
  add<std::uint32_t>(data, 4000);
  const TracePage page = trace_page(page_of(1, data, 1u << 31), formats());
  EXPECT_TRUE(page.events.empty());
  EXPECT_TRUE(page.lost);
}

TEST(TraceReader, AFormatWithoutAValueIsRefused) {
  EXPECT_THROW(trace_format(TraceKind::pvclock_update, kOffsetFormat), std::runtime_error);
}

}  // namespace
}  // namespace tscsim::kvm_backend
