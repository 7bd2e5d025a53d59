# A room is a top-level folder and one library. `tscsim_room(NAME [FAST] SOURCES... USES ROOM... LIBRARIES LIB...)`
# makes the library tscsim_NAME. Every room may include base/, without naming it.
#
# The dependency direction is enforced by the include path: a room's headers are reached through a directory of
# its own that holds nothing but a link to that room, and a target sees only the directories of rooms it links.
# So `#include "model/..."` in sim/ does not compile. (tests/rooms_test.sh refuses paths with '..'.)
set(TSCSIM_WARNINGS -Wall -Wextra -Wconversion -Wsign-conversion -Wshadow -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # With optimisation, g++ 12 gives false alarms on `"text" + string` (GCC bug 105651; also as stringop-overflow and
  # array-bounds where the header comes precompiled) and on `{{file, line}, text}` for structs that hold strings. clang
  # checks the same sources without these exceptions.
  list(APPEND TSCSIM_WARNINGS -Wno-restrict -Wno-stringop-overflow -Wno-array-bounds -Wno-maybe-uninitialized)
endif()

# `tscsim_options(TARGET [FAST])`: warnings, optimisation and precompiled headers of a target.
function(tscsim_options target)
  target_compile_options(${target} PRIVATE ${TSCSIM_WARNINGS})
  if("FAST" IN_LIST ARGN)
    target_precompile_headers(${target} REUSE_FROM tscsim_pch_fast)
  else()
    target_compile_options(${target} PRIVATE ${TSCSIM_QUICK_OPTIONS})
    target_precompile_headers(${target} REUSE_FROM tscsim_pch_quick)
  endif()
  tscsim_sanitizers(${target})
endfunction()

function(tscsim_room_includes name)
  set(view ${CMAKE_BINARY_DIR}/rooms/${name})
  file(MAKE_DIRECTORY ${view})
  file(CREATE_LINK ${CMAKE_SOURCE_DIR}/${name} ${view}/${name} SYMBOLIC)
endfunction()

function(tscsim_room name)
  cmake_parse_arguments(ROOM "FAST" "" "SOURCES;USES;LIBRARIES" ${ARGN})
  tscsim_room_includes(${name})
  add_library(tscsim_${name} STATIC ${ROOM_SOURCES})
  target_include_directories(tscsim_${name} PUBLIC ${CMAKE_BINARY_DIR}/rooms/${name})
  if(NOT name STREQUAL "base")
    list(PREPEND ROOM_USES base)
  endif()
  list(TRANSFORM ROOM_USES PREPEND tscsim_)
  target_link_libraries(tscsim_${name} PUBLIC ${ROOM_USES} ${ROOM_LIBRARIES})
  if(ROOM_FAST)
    tscsim_options(tscsim_${name} FAST)
  else()
    tscsim_options(tscsim_${name})
  endif()
endfunction()

# `tscsim_room_test(NAME SOURCES... LIBRARIES LIB...)`: the room's tests, one executable NAME_tests.
function(tscsim_room_test name)
  if(NOT TSCSIM_TESTS)
    return()
  endif()
  cmake_parse_arguments(TEST "" "" "SOURCES;LIBRARIES" ${ARGN})
  add_executable(${name}_tests ${TEST_SOURCES})
  target_link_libraries(${name}_tests PRIVATE tscsim_${name} ${TEST_LIBRARIES} GTest::gtest GTest::gmock GTest::gtest_main)
  target_compile_definitions(${name}_tests PRIVATE TSCSIM_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  tscsim_options(${name}_tests)
  add_test(NAME ${name} COMMAND ${name}_tests)
endfunction()
