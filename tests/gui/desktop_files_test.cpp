// SPDX-License-Identifier: Apache-2.0
// File types as a desktop tells them: Qt reads the same database as file managers do.
#include <QFile>
#include <QIcon>
#include <QImage>
#include <QMimeDatabase>
#include <QProcess>
#include <filesystem>

#include "tests/gui/desktop.h"

namespace pcmlab::gui {
namespace {

class DesktopFilesTest : public Desktop {
 protected:
  QString type_of(const std::string& file) {
    return QMimeDatabase().mimeTypeForFile(QString::fromStdString(file)).name();
  }
};

TEST_F(DesktopFilesTest, TellResultsFromOtherDatabases) {
  make_run("one");
  EXPECT_EQ(type_of(database().string()), "application/x-pcmlab-results");
  EXPECT_NE(type_of(folder_.file("other.db",
                                 std::string("SQLite format 3\0", 16) + std::string(200, '\1'))),
            "application/x-pcmlab-results");
}

TEST_F(DesktopFilesTest, TellPlansFromOtherTomlFiles) {
  EXPECT_EQ(type_of(folder_.file("plan.toml", "[run]\n[[step]]\nexperiment = \"screen\"\n")),
            "application/x-pcmlab-plan");
}

TEST_F(DesktopFilesTest, AreInstalled) {
  QProcess install;
  install.start("cmake", {"--install", PCMLAB_BUILD_FOLDER "/app/gui", "--prefix",
                          QString::fromStdString((folder_ / "there").string())});
  ASSERT_TRUE(wait_until([&] { return install.state() == QProcess::NotRunning; }));
  ASSERT_EQ(install.exitCode(), 0) << install.readAllStandardError().toStdString();
  const auto there = folder_ / "there";
  for (const char* file :
       {"bin/pcmlab-gui", "share/applications/org.pcmlab.pcmlab.desktop",
        "share/metainfo/org.pcmlab.pcmlab.metainfo.xml", "share/mime/packages/pcmlab-mime.xml",
        "share/icons/hicolor/scalable/apps/org.pcmlab.pcmlab.svg"}) {
    EXPECT_TRUE(std::filesystem::is_regular_file(there / file)) << file;
  }
}

}  // namespace
}  // namespace pcmlab::gui
