// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <QApplication>

int main(int argc, char** argv) {
  // xvfb-run with QT_QPA_PLATFORM=xcb drives the widgets of a window on a screen.
  if (!qEnvironmentVariableIsSet("QT_QPA_PLATFORM")) qputenv("QT_QPA_PLATFORM", "offscreen");
  qputenv("XDG_DATA_DIRS", PCMLAB_TEST_SHARE);
  QApplication::setOrganizationName("pcmlab-test");
  QApplication::setApplicationName("pcmlab-test");
  const QApplication application(argc, argv);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
