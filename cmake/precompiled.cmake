# How the sources are compiled in a release build, and the headers that are parsed once instead of two hundred times.
#
# Speed is the purpose of some rooms (`FAST` in their CMakeLists.txt): they keep -O3. Everywhere else -O1 compiles in two
# thirds of the time and nobody waits for the code. gcc reads a precompiled header only with the options that it was
# made with, so there is one for each set.
set(TSCSIM_QUICK_OPTIONS "$<$<CONFIG:Release>:-O1>")

set(TSCSIM_PRECOMPILED
  <algorithm> <array> <charconv> <cstdint> <deque> <filesystem> <fstream> <functional> <iostream> <map> <memory> <optional>
  <set> <span> <sstream> <stdexcept> <string> <string_view> <tuple> <utility> <variant> <vector> <fmt/format.h>)

function(tscsim_sanitizers target)
  if(TSCSIM_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${TSCSIM_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=${TSCSIM_SANITIZE})
  endif()
endfunction()

function(tscsim_precompile_set name)
  file(WRITE ${CMAKE_BINARY_DIR}/precompiled/${name}.cpp "// Nothing: the target is there for its precompiled header.\n")
  add_library(${name} OBJECT ${CMAKE_BINARY_DIR}/precompiled/${name}.cpp)
  target_link_libraries(${name} PRIVATE tscsim_fmt)
  target_compile_options(${name} PRIVATE ${ARGN})
  tscsim_sanitizers(${name})
  target_precompile_headers(${name} PRIVATE ${TSCSIM_PRECOMPILED})
endfunction()

function(tscsim_precompile)
  tscsim_precompile_set(tscsim_pch_fast)
  tscsim_precompile_set(tscsim_pch_quick ${TSCSIM_QUICK_OPTIONS})
endfunction()
