// The policies that are C++ of their own, one line each. NAME(x) needs `PolicyInfo x_info()` and
// `std::shared_ptr<const SyncPolicy> x()`, which a file x.cpp in this folder defines; the build finds the file itself.
#define TSCSIM_POLICIES(NAME) \
  NAME(same_value)            \
  NAME(window_from_first_write)
