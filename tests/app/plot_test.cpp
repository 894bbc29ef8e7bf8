// SPDX-License-Identifier: Apache-2.0
#include "app/plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <limits>
#include <set>
#include <string>

namespace pcmlab::app {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

/// A folder of its own for each test, gone afterwards.
class PlotTest : public testing::Test {
 protected:
  PlotTest() {
    std::string name = (fs::temp_directory_path() / "plot-test-XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  ~PlotTest() override { fs::remove_all(folder_); }
  PlotTest(const PlotTest&) = delete;
  PlotTest& operator=(const PlotTest&) = delete;

  fs::path file(const std::string& name) const { return folder_ / name; }

 private:
  fs::path folder_;
};

/// Gives a variable of the environment a value for as long as it lives.
class Environment {
 public:
  Environment(const char* name, const std::string& value) : name_(name) {
    if (const char* before = std::getenv(name)) {
      before_ = before;
    }
    setenv(name, value.c_str(), 1);
  }
  ~Environment() {
    if (before_) {
      setenv(name_, before_->c_str(), 1);
    } else {
      unsetenv(name_);
    }
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  const char* name_;
  std::optional<std::string> before_;
};

std::string contents(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::uint32_t big_endian(const std::string& bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    value = value << 8U | static_cast<unsigned char>(bytes.at(at + i));
  }
  return value;
}

DriftBand band(const std::string& label, double g_uS, double exponent) {
  DriftBand band{label, {25, 1000, 86400}, {}, {}, {}, exponent};
  for (const double t_s : band.after_s) {
    const double median_uS = g_uS * std::pow(t_s / 25, -exponent);
    band.median_uS.push_back(median_uS);
    band.low_uS.push_back(median_uS * 0.9);
    band.high_uS.push_back(median_uS * 1.1);
  }
  return band;
}

RetentionPlot made_up() {
  return {"Retention of a made-up chip",
          "run 1 · nobody's network",
          {{"No compensation", {25, 1000, 86400}, {91.5, 60.25, 10.0}, {0, 0, 0}},
           {"Global drift compensation", {25, 1000, 86400}, {92.5, 92.25, 91.75}, {0, 0.25, 0.5}}},
          93.4,
          {band("0–5 µS", 2.5, 0.06), band("20–25 µS", 22.5, 0.049)}};
}

std::string svg_of(const RetentionPlot& plot, const fs::path& file) {
  const Result<void> written = write_plot(plot, file);
  EXPECT_TRUE(written) << written.error().message;
  return contents(file);
}

/// Whether a picture holds a text, without printing the picture where it does not.
bool shows(const std::string& svg, const std::string& text) {
  return svg.find(text) != std::string::npos;
}

TEST_F(PlotTest, DrawsAPngOfTheSizePromised) {
  ASSERT_TRUE(write_plot(made_up(), file("plot.png")));
  const std::string png = contents(file("plot.png"));
  ASSERT_GT(png.size(), 20'000U);
  EXPECT_EQ(png.substr(0, 8), "\x89PNG\r\n\x1a\n");
  EXPECT_EQ(png.substr(12, 4), "IHDR");
  EXPECT_EQ(big_endian(png, 16), 1600U);
  EXPECT_EQ(big_endian(png, 20), 700U);
  EXPECT_EQ(png.substr(png.size() - 8, 4), "IEND");
}

TEST_F(PlotTest, ThePictureDependsOnTheData) {
  ASSERT_TRUE(write_plot(made_up(), file("a.png")));
  RetentionPlot other = made_up();
  other.accuracy[1].percent[1] = 40;
  ASSERT_TRUE(write_plot(other, file("b.png")));
  ASSERT_TRUE(write_plot(made_up(), file("c.png")));
  EXPECT_TRUE(contents(file("a.png")) != contents(file("b.png")));
  EXPECT_TRUE(contents(file("a.png")) == contents(file("c.png")));
}

TEST_F(PlotTest, SaysEverythingAReaderNeeds) {
  const std::string svg = svg_of(made_up(), file("plot.svg"));
  for (const char* text : {"Retention of a made-up chip",
                           "run 1 · nobody's network",
                           "Accuracy (%)",
                           "Conductance (µS)",
                           "Time since programming",
                           "20 s",
                           "1 min",
                           "10 min",
                           "1 h",
                           "6 h",
                           "1 d",
                           "86\u2009400 s",
                           "No compensation",
                           "91.5 → 10.0 %",
                           "Global drift",
                           "92.5 → 91.8 %",
                           "Software",
                           "93.4 %",
                           "0–5 µS",
                           "20–25 µS",
                           "ν = 0.049",
                           "median and 10–90 % of the devices"}) {
    EXPECT_TRUE(shows(svg, text)) << text;
  }
}

TEST_F(PlotTest, DrawsAPdf) {
  ASSERT_TRUE(write_plot(made_up(), file("plot.pdf")));
  EXPECT_EQ(contents(file("plot.pdf")).substr(0, 5), "%PDF-");
}

TEST_F(PlotTest, DoesNotDependOnTheLocaleOrTheUsersGnuplotSettings) {
  const std::string expected = svg_of(made_up(), file("a.svg"));
  std::ofstream(file(".gnuplot")) << "set decimalsign ','\nset title 'mine'\n";
  const Environment home("HOME", file("").string());
  const Environment locale("LC_ALL", "C");
  EXPECT_TRUE(svg_of(made_up(), file("b.svg")) == expected);
}

TEST_F(PlotTest, DrawsASingleTimePoint) {
  RetentionPlot plot = made_up();
  for (AccuracySeries& series : plot.accuracy) {
    series.after_s.resize(1);
    series.percent.resize(1);
    series.deviation_percent.resize(1);
  }
  for (DriftBand& drift : plot.drift) {
    for (auto* column : {&drift.after_s, &drift.median_uS, &drift.low_uS, &drift.high_uS}) {
      column->resize(1);
    }
  }
  const std::string svg = svg_of(plot, file("plot.svg"));
  EXPECT_TRUE(shows(svg, "92.5 %"));
  EXPECT_FALSE(shows(svg, "→"));
}

TEST_F(PlotTest, DrawsACurveThatNeverMoves) {
  RetentionPlot plot = made_up();
  plot.software_percent.reset();
  for (AccuracySeries& series : plot.accuracy) {
    series.percent.assign(3, 10.0);
  }
  const std::string svg = svg_of(plot, file("plot.svg"));
  EXPECT_TRUE(shows(svg, "10.0 → 10.0 %"));
  EXPECT_FALSE(shows(svg, "Software"));
}

TEST_F(PlotTest, DrawsOnePanelWhereTheOtherHasNoPoint) {
  RetentionPlot plot = made_up();
  plot.drift.clear();
  EXPECT_FALSE(shows(svg_of(plot, file("accuracy.svg")), "Conductance"));
  plot = made_up();
  plot.accuracy.clear();
  EXPECT_FALSE(shows(svg_of(plot, file("drift.svg")), "Accuracy"));
}

TEST_F(PlotTest, LeavesOutWhatAnAxisCannotShowAndSortsByTime) {
  RetentionPlot plot = made_up();
  const std::string expected = svg_of(plot, file("a.svg"));
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  plot.accuracy[0] = {
      "No compensation", {0, 86400, 25, 50, 1000}, {50, 10.0, 91.5, kNaN, 60.25}, {0, 0, 0, 0, 0}};
  plot.drift[0].after_s.insert(plot.drift[0].after_s.begin(), 300);
  plot.drift[0].median_uS.insert(plot.drift[0].median_uS.begin(), -0.1);
  plot.drift[0].low_uS.insert(plot.drift[0].low_uS.begin(), -0.4);
  plot.drift[0].high_uS.insert(plot.drift[0].high_uS.begin(), 0.2);
  EXPECT_TRUE(svg_of(plot, file("b.svg")) == expected);
}

TEST_F(PlotTest, KeepsManyLabelsApart) {
  RetentionPlot plot = made_up();
  plot.accuracy.clear();
  for (int i = 0; i < 8; ++i) {
    plot.accuracy.push_back({"Curve " + std::to_string(i), {25, 86400}, {92, 91}, {0, 0}});
  }
  const std::string svg = svg_of(plot, file("plot.svg"));
  std::set<double> heights;
  for (int i = 0; i < 8; ++i) {
    const std::size_t name = svg.find("Curve " + std::to_string(i));
    ASSERT_NE(name, std::string::npos);
    const std::size_t place = svg.rfind("translate(", name);
    heights.insert(std::stod(svg.substr(svg.find(',', place) + 1)));
  }
  ASSERT_EQ(heights.size(), 8U);
  double before_px = -100;
  for (const double height_px : heights) {
    EXPECT_GE(height_px - before_px, 40) << "two lines of text";
    before_px = height_px;
  }
}

TEST_F(PlotTest, TakesEveryTextLiterally) {
  const fs::path victim = file("victim");
  const std::string command = "touch " + victim.string();
  RetentionPlot plot = made_up();
  plot.title = "\"; system(\"" + command + "\") #";
  plot.subtitle = "`" + command + "` $(" + command + ") '";
  plot.accuracy[0].label = "a\n!" + command;
  plot.accuracy[1].label = "\\\" @x $y_{2}^3 \\047 & <b> 100%d 7\0017";
  plot.drift[0].label = "END\nEND\nexit";
  plot.drift[1].label = "\xff\xc3 {/Bold x}";
  const std::string svg = svg_of(plot, file("plot.svg"));
  EXPECT_FALSE(fs::exists(victim));
  EXPECT_TRUE(shows(svg, "$("));
  EXPECT_TRUE(shows(svg, "a !touch"));
  EXPECT_TRUE(shows(svg, "@x $y_{2}^3 \\047"));
  EXPECT_TRUE(shows(svg, "&amp; &lt;b> 100%d 7 7"));
  EXPECT_TRUE(shows(svg, "END END exit"));
  EXPECT_TRUE(shows(svg, "?? {/Bold x}"));
}

TEST_F(PlotTest, TakesAFileNameLiterally) {
  const fs::path odd = file("|touch victim; $(x) `y` \"quoted\" µ.png");
  ASSERT_TRUE(write_plot(made_up(), odd));
  EXPECT_TRUE(fs::exists(odd));
}

TEST_F(PlotTest, SaysThatGnuplotIsMissing) {
  const Environment path("PATH", file("").string());
  const Result<void> written = write_plot(made_up(), file("plot.png"));
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ErrorCode::NotFound);
  EXPECT_THAT(written.error().message, HasSubstr("gnuplot"));
  EXPECT_THAT(written.error().advice, HasSubstr("gnuplot-nox"));
  EXPECT_FALSE(fs::exists(file("plot.png")));
}

TEST_F(PlotTest, PassesOnWhatAFailingGnuplotSays) {
  std::ofstream(file("gnuplot")) << "#!/bin/sh\necho 'no such terminal' >&2\nexit 3\n";
  ASSERT_EQ(chmod(file("gnuplot").c_str(), 0755), 0);
  std::ofstream(file("plot.png")) << "an older picture";
  const Environment path("PATH", file("").string());
  const Result<void> written = write_plot(made_up(), file("plot.png"));
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ErrorCode::Internal);
  EXPECT_THAT(written.error().message, HasSubstr("status 3: no such terminal"));
  EXPECT_EQ(contents(file("plot.png")), "an older picture");
}

TEST_F(PlotTest, SaysThatTheFileCannotBeWritten) {
  const fs::path nowhere = file("no such folder") / "plot.png";
  const Result<void> written = write_plot(made_up(), nowhere);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ErrorCode::Io);
  EXPECT_THAT(written.error().message, HasSubstr(nowhere.string()));
  EXPECT_THAT(written.error().advice, HasSubstr("folder"));

  fs::create_directory(file("folder.png"));
  const Result<void> onto_a_folder = write_plot(made_up(), file("folder.png"));
  ASSERT_FALSE(onto_a_folder);
  EXPECT_EQ(onto_a_folder.error().code, ErrorCode::Io);
  EXPECT_EQ(std::distance(fs::directory_iterator(file("")), fs::directory_iterator()), 1);
}

TEST_F(PlotTest, RefusesOtherFormatsEmptyPlotsAndTornSeries) {
  const Result<void> format = write_plot(made_up(), file("plot.gif"));
  ASSERT_FALSE(format);
  EXPECT_EQ(format.error().code, ErrorCode::Unsupported);

  const Result<void> empty = write_plot({}, file("plot.png"));
  ASSERT_FALSE(empty);
  EXPECT_EQ(empty.error().code, ErrorCode::NotFound);

  RetentionPlot plot = made_up();
  plot.accuracy[0].percent.pop_back();
  const Result<void> torn = write_plot(plot, file("plot.png"));
  ASSERT_FALSE(torn);
  EXPECT_EQ(torn.error().code, ErrorCode::Internal);
  EXPECT_FALSE(fs::exists(file("plot.png")));
}

}  // namespace
}  // namespace pcmlab::app
