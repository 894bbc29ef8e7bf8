// SPDX-License-Identifier: Apache-2.0
// db/README.md is a contract: what it says is true, and it says everything.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "db/run_store.h"
#include "tests/db/random_rows.h"
#include "tests/db/test_files.h"

namespace pcmlab::db {
namespace {

using testing::HasSubstr;

std::string readme() { return bytes_of_file(PCMLAB_SOURCE_FOLDER "/db/README.md"); }

std::string quoted(const std::string& name) { return std::string("`").append(name).append("`"); }

TEST(Readme, NamesEveryTableViewAndColumn) {
  const std::string text = readme();
  auto store = must(RunStore::open(":memory:"));
  auto select = must(store.database().prepare(
      "SELECT t.name, c.name FROM pragma_table_list AS t, pragma_table_info(t.name) AS c"
      " WHERE t.schema = 'main' AND t.name NOT LIKE 'sqlite%'"));
  int columns = 0;
  while (must(select.step())) {
    const std::string table = quoted(select.text(0));
    const auto section = text.find(std::string("### ").append(table));
    ASSERT_NE(section, std::string::npos) << table;
    const std::string described = text.substr(section, text.find("\n##", section + 1) - section);
    EXPECT_THAT(described, HasSubstr(quoted(select.text(1)))) << table;
    ++columns;
  }
  EXPECT_GT(columns, 100);
}

TEST(Readme, GivesQueriesThatRun) {
  auto store = must(RunStore::open(":memory:"));
  const std::string text = readme();
  const std::string begin = "```sql\n";
  int queries = 0;
  for (auto at = text.find(begin); at != std::string::npos; at = text.find(begin, at + 1)) {
    const auto from = at + begin.size();
    const std::string query = text.substr(from, text.find("```", from) - from);
    EXPECT_TRUE(store.database().execute(query).has_value()) << query;
    ++queries;
  }
  EXPECT_GE(queries, 4);
}

}  // namespace
}  // namespace pcmlab::db
