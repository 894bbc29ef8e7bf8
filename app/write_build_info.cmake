# SPDX-License-Identifier: Apache-2.0
# Run at every build: the revision of the sources as `git describe` says it, "unknown" without git.
execute_process(COMMAND git describe --always --dirty --abbrev=12
                WORKING_DIRECTORY ${SOURCE_DIR} OUTPUT_VARIABLE PCMLAB_GIT_REVISION
                OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT PCMLAB_GIT_REVISION)
  set(PCMLAB_GIT_REVISION unknown)
endif()
configure_file(${SOURCE_DIR}/build_info.h.in ${OUTPUT} @ONLY)
