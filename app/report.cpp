// SPDX-License-Identifier: Apache-2.0
#include "app/report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <stdlib.h>

#include <array>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string_view>
#include <vector>

#include "app/commands.h"
#include "app/console.h"
#include "app/query_output.h"
#include "db/query/questions.h"
#include "db/query/results_query.h"
#include "experiments/retention/run_summary.h"

namespace pcmlab::app {
namespace {

// Dark on light and the reverse, as the reader's system has it; paper is light.
constexpr std::string_view kStyle = R"css(
:root { color-scheme: light dark; --ink: #1f2328; --soft: #59636e; --line: #d1d9e0; --page: #ffffff;
        --bad: #b3261e; --good: #1a7f37; }
@media (prefers-color-scheme: dark) { @media screen { :root { --ink: #e6e9ec; --soft: #9aa4ae;
        --line: #3a424a; --page: #16191d; --bad: #ff8a80; --good: #6fdd8b; } } }
body { font: 15px/1.45 "DejaVu Sans", system-ui, sans-serif; color: var(--ink); background: var(--page);
       max-width: 1100px; margin: 2rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.6rem; margin: 0; }
h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; }
p.soft, caption, footer { color: var(--soft); text-align: left; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .9rem .2rem 0; border-bottom: 1px solid var(--line); text-align: left;
         vertical-align: top; }
th { font-weight: 600; color: var(--soft); }
td.number, th.number { text-align: right; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.2rem; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
.figures { display: flex; flex-wrap: wrap; gap: 1.2rem 2.6rem; margin: 1.4rem 0; }
.figures div { color: var(--soft); } .figures b { display: block; font-size: 1.5rem; color: var(--ink); }
.bad { color: var(--bad); } .good { color: var(--good); }
.picture { background: #ffffff; } .picture svg { width: 100%; height: auto; }
.wide { overflow-x: auto; }
pre { overflow-x: auto; border: 1px solid var(--line); padding: .8rem; font-size: .85rem; }
details summary { cursor: pointer; color: var(--soft); }
)css";

std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

/// A table whose columns of numbers are right-aligned.
class HtmlTable {
 public:
  explicit HtmlTable(std::vector<std::string> header) : header_(std::move(header)) {
    numbers_.assign(header_.size(), true);
  }
  void add(std::vector<std::string> row) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      const bool number =
          row[i].empty() || row[i] == "-" || row[i].find_first_of("+-0123456789") == 0;
      if (!number || row[i].find('T') != std::string::npos) numbers_[i] = false;
    }
    rows_.push_back(std::move(row));
  }
  bool empty() const { return rows_.empty(); }
  std::string text() const {
    std::string out = "<div class=\"wide\"><table>\n";
    append(out, "th", header_);
    for (const auto& row : rows_) append(out, "td", row);
    return out + "</table></div>\n";
  }

 private:
  void append(std::string& out, std::string_view tag, const std::vector<std::string>& cells) const {
    out += "<tr>";
    for (std::size_t i = 0; i < cells.size(); ++i) {
      out += fmt::format("<{0}{1}>{2}</{0}>", tag, numbers_[i] ? " class=\"number\"" : "",
                         escaped(cells[i]));
    }
    out += "</tr>\n";
  }

  std::vector<std::string> header_;
  std::vector<std::vector<std::string>> rows_;
  std::vector<bool> numbers_;
};

/// Sections that are the answer to a named question.
struct Section {
  std::string_view question;
  std::string_view title;
  std::string_view remark;
};
constexpr std::array kSections = {
    Section{"verdicts", "How the devices ended",
            "A RESET device has no target and is not verified."},
    Section{"errors", "Verify reads against targets",
            "Converged devices. The mean error holds the drift that is expected until the aim."},
    Section{"drift", "Drift", "Fits of single devices, by target."},
    Section{"sweeps", "Sweeps", "slip_s: how much later than planned; left: of the first sweep."},
};

Result<std::string> section_html(db::ResultsQuery& query, const Section& section, db::RowId run) {
  const db::Question* const question = db::find_question(section.question);
  PCM_TRY(query.prepare(std::string(question->sql), {{"run", fmt::format("{}", run)}}));
  HtmlTable table(query.columns());
  for (;;) {
    PCM_ASSIGN(const bool more, query.step());
    if (!more) break;
    std::vector<std::string> row;
    for (std::size_t i = 0; i < query.columns().size(); ++i) {
      row.push_back(short_text(query.value(i)));
    }
    table.add(std::move(row));
  }
  if (table.empty()) return std::string();
  return fmt::format("<h2>{}</h2>\n<p class=\"soft\">{}</p>\n{}", section.title, section.remark,
                     table.text());
}

std::string figure(std::string_view value, std::string_view name) {
  return fmt::format("<div><b>{}</b>{}</div>\n", escaped(value), escaped(name));
}

std::string figures_html(const RunSummary& summary) {
  std::string out = "<div class=\"figures\">\n";
  if (summary.software_percent) {
    out += figure(fmt::format("{:.2f} %", *summary.software_percent), "software accuracy");
  }
  if (!summary.points.empty()) {
    const TimePoint& last = summary.points.back();
    for (const std::string& condition : summary.conditions) {
      const auto found = last.accuracies.find(condition);
      if (found == last.accuracies.end()) continue;
      out +=
          figure(fmt::format("{:.2f} %", found->second.mean_percent),
                 fmt::format("{} at {}", condition_name(condition), duration_text(last.after_s)));
    }
  }
  if (const auto& programming = summary.programming; programming && programming->complete) {
    const auto targets =
        static_cast<double>(std::max<std::int64_t>(1, programming->nonzero_targets));
    out +=
        figure(fmt::format("{:.2f} %", 100 * static_cast<double>(programming->converged) / targets),
               "of the devices converged");
  }
  if (summary.drift_exponent) {
    out += figure(fmt::format("{:.3f}", *summary.drift_exponent), "median drift exponent");
  }
  return out + "</div>\n";
}

std::string accuracy_html(const RunSummary& summary) {
  if (summary.points.empty() || summary.conditions.empty()) return {};
  std::vector<std::string> header{"after programming", "sum of conductance"};
  for (const std::string& condition : summary.conditions)
    header.push_back(condition_name(condition));
  HtmlTable table(std::move(header));
  for (const TimePoint& point : summary.points) {
    std::vector<std::string> row{duration_text(point.after_s),
                                 fmt::format("{:.4f}", point.sum_ratio)};
    for (const std::string& condition : summary.conditions) {
      const auto found = point.accuracies.find(condition);
      if (found == point.accuracies.end()) {
        row.emplace_back("-");
      } else if (const PointAccuracy& accuracy = found->second; accuracy.deviation_percent) {
        row.push_back(
            fmt::format("{:.2f} ± {:.2f} %", accuracy.mean_percent, *accuracy.deviation_percent));
      } else {
        row.push_back(fmt::format("{:.2f} %", accuracy.mean_percent));
      }
    }
    table.add(std::move(row));
  }
  return "<h2>Accuracy with the measured conductances</h2>\n" + table.text();
}

/// A folder for the picture, gone afterwards.
class PictureFolder {
 public:
  PictureFolder() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "pcmlab-report-XXXXXX").string();
    if (mkdtemp(pattern.data()) != nullptr) path_ = pattern;
  }
  ~PictureFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  PictureFolder(const PictureFolder&) = delete;
  PictureFolder& operator=(const PictureFolder&) = delete;
  std::filesystem::path file() const { return path_ / "run.svg"; }

 private:
  std::filesystem::path path_;
};

std::string picture_html(const RunSummary& summary) {
  const PictureFolder folder;
  if (const auto drawn = plot_run(summary, folder.file()); !drawn) {
    return fmt::format("<p class=\"soft\">No picture: {}</p>\n", escaped(drawn.error().message));
  }
  std::ostringstream svg;
  svg << std::ifstream(folder.file(), std::ios::binary).rdbuf();
  // What stands before the element belongs to a file of its own.
  const std::string text = svg.str();
  const std::size_t begin = text.find("<svg");
  return fmt::format("<div class=\"picture\">{}</div>\n",
                     begin == std::string::npos ? "" : text.substr(begin));
}

Result<std::string> events_html(db::RunStore& store, db::RowId run) {
  PCM_ASSIGN(const auto events, store.events(run));
  std::string out = "<h2>What happened</h2>\n";
  if (events.empty()) return out + "<p class=\"soft\">No gap, no fault, no slip.</p>\n";
  HtmlTable table({"when", "what", ""});
  for (const db::EventRow& event : events) {
    table.add({date_text(event.utc), event.kind, event.text});
  }
  return out + table.text();
}

Result<std::string> steps_html(db::RunStore& store, db::RowId run) {
  PCM_ASSIGN(const auto steps, store.steps(run));
  std::string out = "<h2>Steps</h2>\n";
  for (const db::StepRow& step : steps) {
    const auto parameters = nlohmann::ordered_json::parse(step.parameters_json, nullptr, false);
    out += fmt::format(
        "<details><summary>{}. {} · {} · {}</summary><pre>{}</pre></details>\n", step.ordinal + 1,
        escaped(step.experiment), db::to_string(step.state), duration_text(step.wall_s),
        escaped(parameters.is_discarded() ? step.parameters_json : parameters.dump(2)));
  }
  return out;
}

std::string provenance_html(const db::RunRow& run) {
  std::string out = "<h2>Provenance</h2>\n<dl>\n";
  const auto line = [&out](std::string_view name, std::string_view value) {
    if (!value.empty()) out += fmt::format("<dt>{}</dt><dd>{}</dd>\n", name, escaped(value));
  };
  line("run", fmt::format("{} of the database, {} everywhere", run.id, run.uuid));
  line("operator", run.operator_name);
  line("chip", run.sample);
  line("board", fmt::format("{}, {}, firmware {}", run.board_serial, run.board_description,
                            run.board_firmware));
  line("network", fmt::format("{}, SHA-256 {}", run.network_name, run.network_sha256));
  line("images", run.images);
  line("seed", fmt::format("{}", run.seed));
  line("program",
       fmt::format("pcmlab {} ({}) on {}", run.program_version, run.git_revision, run.host));
  return out + fmt::format("</dl>\n<h2>Plan</h2>\n<pre>{}</pre>\n", escaped(run.plan_text));
}

std::string head_html(const RunSummary& summary) {
  const db::RunRow& run = summary.run;
  const std::string title = run.name.empty() ? fmt::format("Run {}", run.id)
                                             : fmt::format("Run {}: {}", run.id, run.name);
  std::string out = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
      "<title>{0}</title><style>{1}</style></head><body>\n<h1>{0}</h1>\n",
      escaped(title), kStyle);
  const bool good = run.state == db::RunState::Complete;
  out += fmt::format("<p><b class=\"{}\">{}</b> · {} to {} · {} weights on {} devices</p>\n",
                     good ? "good" : "bad", db::to_string(run.state), date_text(run.started_utc),
                     run.ended_utc.empty() ? "now" : date_text(run.ended_utc), grouped(run.weights),
                     grouped(run.devices));
  if (!run.error.empty()) out += fmt::format("<p class=\"bad\">{}</p>\n", escaped(run.error));
  if (!run.tags.empty()) {
    out += fmt::format("<p class=\"soft\">{}</p>\n",
                       escaped(fmt::format("{}", fmt::join(run.tags, " · "))));
  }
  for (const db::NoteRow& note : summary.notes) {
    out += fmt::format("<p>{} <span class=\"soft\">({}, {})</span></p>\n", escaped(note.text),
                       escaped(note.noted_by), date_text(note.noted_utc));
  }
  return out;
}

}  // namespace

Result<std::string> report_html(db::RunStore& store, const std::filesystem::path& database,
                                db::RowId run) {
  PCM_ASSIGN(const RunSummary summary, summarise_run(store, run));
  std::string out = head_html(summary) + figures_html(summary) + picture_html(summary);
  PCM_ASSIGN(const std::string events, events_html(store, run));
  out += events + accuracy_html(summary);
  PCM_ASSIGN(db::ResultsQuery query, db::ResultsQuery::open(database));
  for (const Section& section : kSections) {
    PCM_ASSIGN(const std::string html, section_html(query, section, run));
    out += html;
  }
  PCM_ASSIGN(const std::string steps, steps_html(store, run));
  out += steps + provenance_html(summary.run);
  return out + "</body></html>\n";
}

}  // namespace pcmlab::app
