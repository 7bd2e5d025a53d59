# `tscsim_pages(OUTPUT PAGE...)`: writes a source that holds the text of the pages of docs/, line by line, for
# cli/pages.h. It is written anew when a page changes.
function(tscsim_pages output)
  set(arrays "")
  set(rows "")
  set(number 0)
  foreach(page ${ARGN})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${page})
    file(READ ${CMAKE_SOURCE_DIR}/${page} text)
    string(REGEX REPLACE "\n$" "" text "${text}")
    # One literal for each line: compilers need not take literals of any length.
    string(REPLACE "\n" ")~\",\n    R\"~(" text "${text}")
    string(APPEND arrays "constexpr std::string_view kPage${number}[] = {\n    R\"~(${text})~\"};\n\n")
    string(APPEND rows "    {\"${page}\", kPage${number}},\n")
    math(EXPR number "${number} + 1")
  endforeach()
  set(source "// Written by cmake/pages.cmake from docs/.
#include \"cli/pages.h\"

namespace tscsim::cli {
namespace {

${arrays}constexpr Page kPages[] = {
${rows}};

}  // namespace

std::span<const Page> pages() { return kPages; }

}  // namespace tscsim::cli
")
  file(CONFIGURE OUTPUT ${output} CONTENT "${source}" @ONLY)
endfunction()
