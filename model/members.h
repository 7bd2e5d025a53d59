// The members of a state, enumerated once beside it: what compares, spells out or empties a state visits them and cannot
// forget one.
//
// TSCSIM_MEMBERS(a, b, c) inside an aggregate gives it each_member(self, visitor), which calls visitor("a", self.a) and so on,
// in this order. It does not compile when the list has another number of members than the aggregate: the structured
// binding counts them.
#pragma once

#include <type_traits>

#define TSCSIM_PARENS ()
#define TSCSIM_EXPAND(...) TSCSIM_EXPAND_3(TSCSIM_EXPAND_3(TSCSIM_EXPAND_3(TSCSIM_EXPAND_3(__VA_ARGS__))))
#define TSCSIM_EXPAND_3(...) TSCSIM_EXPAND_2(TSCSIM_EXPAND_2(TSCSIM_EXPAND_2(TSCSIM_EXPAND_2(__VA_ARGS__))))
#define TSCSIM_EXPAND_2(...) TSCSIM_EXPAND_1(TSCSIM_EXPAND_1(TSCSIM_EXPAND_1(TSCSIM_EXPAND_1(__VA_ARGS__))))
#define TSCSIM_EXPAND_1(...) __VA_ARGS__

#define TSCSIM_BOUND(first, ...) first##_member __VA_OPT__(, TSCSIM_BOUND_AGAIN TSCSIM_PARENS(__VA_ARGS__))
#define TSCSIM_BOUND_AGAIN() TSCSIM_BOUND
#define TSCSIM_VISIT(first, ...) \
  visitor(#first, self.first);   \
  __VA_OPT__(TSCSIM_VISIT_AGAIN TSCSIM_PARENS(__VA_ARGS__))
#define TSCSIM_VISIT_AGAIN() TSCSIM_VISIT

#define TSCSIM_MEMBERS(...)                                                   \
  template <class Self, class Visitor>                                        \
  static void each_member(Self& self, Visitor&& visitor) {                    \
    [[maybe_unused]] auto& [TSCSIM_EXPAND(TSCSIM_BOUND(__VA_ARGS__))] = self; \
    TSCSIM_EXPAND(TSCSIM_VISIT(__VA_ARGS__))                                  \
  }

namespace tscsim::model {

struct AnyVisitor {
  template <class Member>
  void operator()(const char*, Member&&) const {}
};

// A state whose members are enumerated.
template <class T>
concept Enumerated = requires(T& value) {
  std::remove_cvref_t<T>::each_member(value, AnyVisitor{});
};

}  // namespace tscsim::model
