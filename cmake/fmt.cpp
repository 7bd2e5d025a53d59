// {fmt}, compiled once. Debian packages it as a shared library only, and tscsim-init is a static program; header-only, as
// it was used before, it cost every source file three seconds.
#include <fmt/format-inl.h>

// What fmt/format.h declares `extern template`, and what its templates take from the library.
template auto fmt::detail::locale_ref::get<std::locale>() const -> std::locale;
template auto fmt::detail::thousands_sep_impl<char>(locale_ref) -> thousands_sep_result<char>;
template auto fmt::detail::thousands_sep_impl<wchar_t>(locale_ref) -> thousands_sep_result<wchar_t>;
template auto fmt::detail::decimal_point_impl<char>(locale_ref) -> char;
template auto fmt::detail::decimal_point_impl<wchar_t>(locale_ref) -> wchar_t;
template auto fmt::detail::dragonbox::to_decimal<float>(float) noexcept -> dragonbox::decimal_fp<float>;
template auto fmt::detail::dragonbox::to_decimal<double>(double) noexcept -> dragonbox::decimal_fp<double>;
