# SPDX-License-Identifier: Apache-2.0
# Compiles the sources of a target a few at a time (PCMLAB_TOGETHER): the headers that they share,
# which are most of the work, are then read once and not once a source.

# The names that a source declares outside of functions and classes, where clang-format leaves
# lines without indentation.
function(pcmlab_outer_names source out)
  file(READ ${source} text)
  string(REPLACE ";" " " text "\n${text}")
  # The start of a line, up to what ends a declared name.
  string(REGEX MATCHALL "\n#define [A-Za-z_0-9]+|\n[A-Za-z_][^][\n={(]*" lines "${text}")
  set(names "")
  foreach(line IN LISTS lines)
    if(line MATCHES "^\n(#define|struct|class|enum class|enum|union) ([A-Za-z_0-9]+)")
      list(APPEND names ${CMAKE_MATCH_2})
    elseif(line MATCHES "^\n(TEST|TEST_F|TEST_P|INSTANTIATE_[A-Z_]*|static_assert|namespace|template|using [^=]*::)" OR
           line MATCHES "::[~A-Za-z_0-9]+ *$")
      # A test's name is its own; members and using-declarations may come twice.
    elseif(line MATCHES "([A-Za-z_0-9]+) *$")
      list(APPEND names ${CMAKE_MATCH_1})
    endif()
  endforeach()
  set(${out} "${names}" PARENT_SCOPE)
endfunction()

# The names of a source that no header of the project gives it, and those that such a header does:
# of the headers that the source itself includes. Two sources are compiled together if none of the
# former is a name of the other.
function(pcmlab_names source own given)
  pcmlab_outer_names(${source} names)
  file(STRINGS ${source} includes REGEX "^#include \"[^\"]+\"")
  set(others "")
  foreach(include IN LISTS includes)
    string(REGEX REPLACE "^#include \"([^\"]+)\".*" "\\1" header "${include}")
    if(EXISTS ${PROJECT_SOURCE_DIR}/${header})
      pcmlab_outer_names(${PROJECT_SOURCE_DIR}/${header} of_header)
      list(APPEND others ${of_header})
    endif()
  endforeach()
  list(REMOVE_ITEM names "" ${others})
  set(${own} "${names}" PARENT_SCOPE)
  set(${given} "${others}" PARENT_SCOPE)
endfunction()

# pcmlab_sources(TARGET SOURCE...): gives a target its sources, together when the folder is done.
function(pcmlab_sources target)
  if(PCMLAB_TOGETHER)
    cmake_language(EVAL CODE "cmake_language(DEFER CALL pcmlab_together ${target} \"${ARGN}\")")
  else()
    target_sources(${target} PRIVATE ${ARGN})
  endif()
endfunction()

# Sources with flags of their own, generated ones and those that are not C++ stay alone; so do those
# with plain enums, whose values are names too.
function(pcmlab_together target sources)
  set(groups "")
  foreach(source IN LISTS sources)
    cmake_path(ABSOLUTE_PATH source BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR} NORMALIZE
               OUTPUT_VARIABLE path)
    get_source_file_property(flags ${source} COMPILE_OPTIONS)
    get_source_file_property(definitions ${source} COMPILE_DEFINITIONS)
    cmake_path(IS_PREFIX PROJECT_BINARY_DIR ${path} generated)
    set(enums "")
    if(EXISTS ${path})
      file(STRINGS ${path} enums REGEX "^enum [^c]" LIMIT_COUNT 1)
    endif()
    if(NOT path MATCHES "[.]cpp$" OR generated OR flags OR definitions OR enums)
      target_sources(${target} PRIVATE ${source})
      continue()
    endif()
    pcmlab_names(${path} own given)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${path})
    # The first group with room and none of the names.
    set(chosen 0)
    foreach(group IN LISTS groups)
      list(LENGTH files_${group} length)
      set(fits ${own})
      list(REMOVE_ITEM fits "" ${own_${group}} ${given_${group}})
      set(fits_too ${own_${group}})
      list(REMOVE_ITEM fits_too "" ${own} ${given})
      if(length LESS PCMLAB_TOGETHER AND "${fits}" STREQUAL "${own}"
         AND "${fits_too}" STREQUAL "${own_${group}}")
        set(chosen ${group})
        break()
      endif()
    endforeach()
    if(chosen EQUAL 0)
      list(LENGTH groups count)
      math(EXPR chosen "${count} + 1")
      list(APPEND groups ${chosen})
      set(files_${chosen} "")
      set(own_${chosen} "")
      set(given_${chosen} "")
    endif()
    list(APPEND files_${chosen} ${path})
    list(APPEND own_${chosen} ${own})
    list(APPEND given_${chosen} ${given})
  endforeach()

  foreach(group IN LISTS groups)
    set(text "// Made by together.cmake.\n")
    foreach(path IN LISTS files_${group})
      cmake_path(RELATIVE_PATH path BASE_DIRECTORY ${PROJECT_SOURCE_DIR})
      string(APPEND text "#include \"${path}\"  // NOLINT(bugprone-suspicious-include)\n")
    endforeach()
    set(file ${CMAKE_CURRENT_BINARY_DIR}/together/${target}_${group}.cpp)
    file(CONFIGURE OUTPUT ${file} CONTENT "${text}" @ONLY)
    target_sources(${target} PRIVATE ${file})
  endforeach()
endfunction()
