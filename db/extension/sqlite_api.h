// SPDX-License-Identifier: Apache-2.0
/// \file
/// SQLite's functions: of the program that loads the extension where this is compiled into a file
/// of its own, else of the library that the program links.
#pragma once

#ifdef PCMLAB_LOADABLE_EXTENSION
#include <sqlite3ext.h>
extern "C" {
SQLITE_EXTENSION_INIT3
}
#else
#include <sqlite3.h>
#endif
