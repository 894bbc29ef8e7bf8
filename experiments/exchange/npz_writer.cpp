// SPDX-License-Identifier: Apache-2.0
#include "experiments/exchange/npz_writer.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <bit>
#include <string_view>

namespace pcmlab {
namespace {

static_assert(std::endian::native == std::endian::little);

// Of PKWARE's APPNOTE: version 4.5 is the first with zip64; a field of all ones is in the extra.
constexpr std::uint16_t kVersion = 45, kZip64 = 1;
constexpr std::uint16_t kFirstDay =
    1 << 5 | 1;  ///< 1980-01-01, for archives that depend on data alone
constexpr std::uint32_t kElsewhere = 0xffffffff;
constexpr std::uint64_t kCrcOffset = 14;  ///< of the checksum in a local header

/// Little-endian numbers one after the other.
class Record {
 public:
  template <class Number>
  Record& operator<<(Number number) {
    const auto bytes = std::as_bytes(std::span(&number, 1));
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  Record& operator<<(const std::string& text) {
    const auto bytes = std::as_bytes(std::span(text));
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

template <class Number>
constexpr Number number(std::uint64_t value) {
  return static_cast<Number>(value);
}

/// NumPy's format 1.0: the header is padded so that the data begin at a multiple of 64 bytes.
std::string npy_header(const std::string& type, const std::vector<std::uint64_t>& shape) {
  std::string extents;
  for (const std::uint64_t extent : shape) extents += fmt::format("{}, ", extent);
  if (shape.size() > 1) extents.resize(extents.size() - 2);
  if (shape.size() == 1) extents.resize(extents.size() - 1);
  std::string text =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", type, extents);
  constexpr std::size_t kBefore = 10, kAlignment = 64;
  const std::size_t bare = kBefore + text.size() + 1;
  text.append((kAlignment - bare % kAlignment) % kAlignment, ' ');
  text += '\n';
  std::string header = "\x93NUMPY";
  header += '\x01';
  header += '\0';
  header += static_cast<char>(text.size() & 0xff);
  header += static_cast<char>(text.size() >> 8);
  return header + text;
}

/// The code points of UTF-8; what is none becomes U+FFFD.
std::vector<std::uint32_t> code_points(std::string_view text) {
  std::vector<std::uint32_t> points;
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t length = lead < 0x80       ? 1
                               : lead >> 5 == 6  ? 2
                               : lead >> 4 == 14 ? 3
                               : lead >> 3 == 30 ? 4
                                                 : 0;
    std::uint32_t point = length == 1 ? lead : lead & (0x7fu >> length);
    bool good = length > 0 && i + length <= text.size();
    for (std::size_t k = 1; good && k < length; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      good = next >> 6 == 2;
      point = point << 6 | (next & 0x3fu);
    }
    good = good && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
    points.push_back(good ? point : 0xfffd);
    i += good ? length : 1;
  }
  return points;
}

}  // namespace

Result<void> NpzWriter::texts(const std::string& name, std::span<const std::string> values) {
  std::vector<std::vector<std::uint32_t>> all;
  std::size_t width = 1;
  for (const std::string& text : values) {
    all.push_back(code_points(text));
    width = std::max(width, all.back().size());
  }
  PCM_TRY(begin(name, fmt::format("<U{}", width), {values.size()}));
  for (std::vector<std::uint32_t>& points : all) {
    points.resize(width);
    PCM_TRY(add(std::span<const std::uint32_t>(points)));
  }
  return end();
}

Result<void> NpzWriter::begin(const std::string& name, const std::string& type,
                              const std::vector<std::uint64_t>& shape) {
  Entry entry;
  entry.name = name + ".npy";
  entry.offset = file_.size();
  entry.crc = number<std::uint32_t>(crc32(0, nullptr, 0));
  const std::string header = npy_header(type, shape);
  Record local;
  local << std::uint32_t{0x04034b50} << kVersion << std::uint16_t{0} << std::uint16_t{0}
        << std::uint16_t{0} << kFirstDay << std::uint32_t{0} << kElsewhere << kElsewhere
        << number<std::uint16_t>(entry.name.size()) << std::uint16_t{20} << entry.name << kZip64
        << std::uint16_t{16} << std::uint64_t{0} << std::uint64_t{0};
  entries_.push_back(std::move(entry));
  written_ = 0;
  PCM_TRY(file_.write(local.bytes()));
  return add_bytes(std::as_bytes(std::span(header)));
}

Result<void> NpzWriter::add_bytes(std::span<const std::byte> bytes) {
  Entry& entry = entries_.back();
  entry.crc = number<std::uint32_t>(
      crc32_z(entry.crc, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
  written_ += bytes.size();
  return file_.write(bytes);
}

Result<void> NpzWriter::end() {
  Entry& entry = entries_.back();
  entry.size = written_;
  Record crc, sizes;
  crc << entry.crc;
  sizes << entry.size << entry.size;
  PCM_TRY(file_.write_at(entry.offset + kCrcOffset, crc.bytes()));
  constexpr std::uint64_t kLocalHeader = 30, kExtraHead = 4;
  return file_.write_at(entry.offset + kLocalHeader + entry.name.size() + kExtraHead,
                        sizes.bytes());
}

Result<void> NpzWriter::finish() {
  const std::uint64_t directory = file_.size();
  for (const Entry& entry : entries_) {
    Record central;
    central << std::uint32_t{0x02014b50} << kVersion << kVersion << std::uint16_t{0}
            << std::uint16_t{0} << std::uint16_t{0} << kFirstDay << entry.crc << kElsewhere
            << kElsewhere << number<std::uint16_t>(entry.name.size()) << std::uint16_t{28}
            << std::uint16_t{0} << std::uint16_t{0} << std::uint16_t{0} << std::uint32_t{0}
            << kElsewhere << entry.name << kZip64 << std::uint16_t{24} << entry.size << entry.size
            << entry.offset;
    PCM_TRY(file_.write(central.bytes()));
  }
  const std::uint64_t end = file_.size();
  Record tail;
  tail << std::uint32_t{0x06064b50} << std::uint64_t{44} << kVersion << kVersion << std::uint32_t{0}
       << std::uint32_t{0} << number<std::uint64_t>(entries_.size())
       << number<std::uint64_t>(entries_.size()) << end - directory << directory;
  tail << std::uint32_t{0x07064b50} << std::uint32_t{0} << end << std::uint32_t{1};
  tail << std::uint32_t{0x06054b50} << std::uint16_t{0} << std::uint16_t{0}
       << number<std::uint16_t>(entries_.size()) << number<std::uint16_t>(entries_.size())
       << kElsewhere << kElsewhere << std::uint16_t{0};
  return file_.write(tail.bytes());
}

}  // namespace pcmlab
