// SPDX-License-Identifier: Apache-2.0
#include "experiments/exchange/hdf5_writer.h"

#include <fmt/format.h>
#include <hdf5.h>
#include <hdf5_hl.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <utility>

namespace pcmlab {
namespace hdf5 {

/// Something that HDF5 has open.
class Handle {
 public:
  using Close = herr_t (*)(hid_t);
  Handle() = default;
  Handle(hid_t id, Close how) : id_(id), close_(how) {}
  Handle(Handle&& other) noexcept
      : id_(std::exchange(other.id_, H5I_INVALID_HID)), close_(other.close_) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { close(); }

  hid_t id() const { return id_; }
  bool good() const { return id_ >= 0; }
  /// \return negative: it could not be.
  herr_t close() { return id_ < 0 ? 0 : close_(std::exchange(id_, H5I_INVALID_HID)); }

 private:
  hid_t id_ = H5I_INVALID_HID;
  Close close_ = nullptr;
};

/// Where the bytes go, and the first error on the way.
struct Sink {
  OutputFile& file;
  std::optional<Error> error{};

  void note(const Result<void>& result) {
    if (!result && !error) error = result.error();
  }
};

}  // namespace hdf5

namespace {

using hdf5::Handle;
using hdf5::Sink;

/// Places of the last dimension in a chunk, as in a block of the database.
constexpr hsize_t kChunk = 65536;
/// Fewer values are kept as they are.
constexpr hsize_t kFewestCompressed = 512;
constexpr unsigned kDeflateLevel = 3;

/// HDF5's virtual file driver for a Sink. H5FD_t is the part of it that HDF5 knows.
struct SinkFile : H5FD_t {
  explicit SinkFile(Sink& to) : H5FD_t(), sink(to) {}
  Sink& sink;
  haddr_t end_of_allocation = 0;
};

Sink& sink_of(H5FD_t* file) { return static_cast<SinkFile*>(file)->sink; }

constexpr H5FD_class_t sink_driver() {
  H5FD_class_t driver{};
  driver.name = "pcmlab";
  driver.maxaddr = haddr_t{1} << 62;
  driver.fc_degree = H5F_CLOSE_STRONG;
  driver.fapl_size = sizeof(Sink*);
  driver.open = [](const char*, unsigned, hid_t access, haddr_t) -> H5FD_t* {
    return new SinkFile(**static_cast<Sink* const*>(H5Pget_driver_info(access)));
  };
  driver.close = [](H5FD_t* file) -> herr_t {
    delete static_cast<SinkFile*>(file);
    return 0;
  };
  driver.query = [](const H5FD_t*, unsigned long* flags) -> herr_t {
    *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE |
             H5FD_FEAT_AGGREGATE_SMALLDATA;
    return 0;
  };
  driver.get_eoa = [](const H5FD_t* file, H5FD_mem_t) {
    return static_cast<const SinkFile*>(file)->end_of_allocation;
  };
  driver.set_eoa = [](H5FD_t* file, H5FD_mem_t, haddr_t end) -> herr_t {
    static_cast<SinkFile*>(file)->end_of_allocation = end;
    return 0;
  };
  driver.get_eof = [](const H5FD_t* file, H5FD_mem_t) -> haddr_t {
    return static_cast<const SinkFile*>(file)->sink.file.size();
  };
  driver.read = [](H5FD_t* file, H5FD_mem_t, hid_t, haddr_t at, size_t size, void* to) -> herr_t {
    sink_of(file).note(sink_of(file).file.read_at(at, {static_cast<std::byte*>(to), size}));
    return 0;
  };
  driver.write = [](H5FD_t* file, H5FD_mem_t, hid_t, haddr_t at, size_t size,
                    const void* from) -> herr_t {
    Sink& sink = sink_of(file);
    if (!sink.error) sink.note(sink.file.write_at(at, {static_cast<const std::byte*>(from), size}));
    return 0;
  };
  // A file must not end before what was allocated in it.
  driver.truncate = [](H5FD_t* file, hid_t, hbool_t) -> herr_t {
    Sink& sink = sink_of(file);
    const haddr_t end = static_cast<SinkFile*>(file)->end_of_allocation;
    constexpr std::byte kZero{0};
    if (!sink.error && sink.file.size() < end) sink.note(sink.file.write_at(end - 1, {&kZero, 1}));
    return 0;
  };
  constexpr std::array<H5FD_mem_t, H5FD_MEM_NTYPES> kOneSpace = H5FD_FLMAP_SINGLE;
  std::copy(kOneSpace.begin(), kOneSpace.end(), driver.fl_map);
  return driver;
}

hid_t native(Hdf5Type type) {
  switch (type) {
    case Hdf5Type::Int8:
      return H5T_NATIVE_INT8;
    case Hdf5Type::UInt8:
      return H5T_NATIVE_UINT8;
    case Hdf5Type::UInt16:
      return H5T_NATIVE_UINT16;
    case Hdf5Type::Int32:
      return H5T_NATIVE_INT32;
    case Hdf5Type::Int64:
      return H5T_NATIVE_INT64;
    case Hdf5Type::Float32:
      return H5T_NATIVE_FLOAT;
    case Hdf5Type::Float64:
      return H5T_NATIVE_DOUBLE;
  }
  return H5I_INVALID_HID;
}

/// UTF-8 of any length.
Handle text_type() {
  Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type.id(), H5T_VARIABLE);
  H5Tset_cset(type.id(), H5T_CSET_UTF8);
  return type;
}

/// The innermost of HDF5's errors.
std::string last_words() {
  std::string words = "no reason given";
  H5Ewalk2(
      H5E_DEFAULT, H5E_WALK_UPWARD,
      [](unsigned depth, const H5E_error2_t* error, void* to) -> herr_t {
        if (depth == 0) *static_cast<std::string*>(to) = error->desc;
        return 0;
      },
      &words);
  return words;
}

herr_t write_attribute(hid_t object, const char* name, hid_t type, hid_t space,
                       const void* values) {
  const Handle attribute(H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  return attribute.good() ? H5Awrite(attribute.id(), type, values) : -1;
}

/// As HDF5 takes it.
struct AttributeWriter {
  hid_t object;
  const char* name;

  herr_t operator()(const std::string& text) const {
    const char* const begin = text.c_str();
    return one(text_type().id(), &begin);
  }
  herr_t operator()(std::int64_t number) const { return one(H5T_NATIVE_INT64, &number); }
  herr_t operator()(std::uint64_t number) const { return one(H5T_NATIVE_UINT64, &number); }
  herr_t operator()(double number) const { return one(H5T_NATIVE_DOUBLE, &number); }
  herr_t operator()(const std::vector<std::uint8_t>& numbers) const {
    const hsize_t count = numbers.size();
    const Handle space(H5Screate_simple(1, &count, nullptr), H5Sclose);
    return write_attribute(object, name, H5T_NATIVE_UINT8, space.id(), numbers.data());
  }

 private:
  herr_t one(hid_t type, const void* value) const {
    const Handle space(H5Screate(H5S_SCALAR), H5Sclose);
    return write_attribute(object, name, type, space.id(), value);
  }
};

/// How a dataset of that shape is kept.
Handle storage_of(const std::vector<hsize_t>& shape, bool compressed) {
  Handle properties(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_attr_creation_order(properties.id(), H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
  hsize_t values = 1;
  for (const hsize_t extent : shape) values *= extent;
  if (!compressed || values < kFewestCompressed) return properties;
  std::vector<hsize_t> chunk(shape.size(), 1);
  chunk.back() = std::min(shape.back(), kChunk);
  H5Pset_chunk(properties.id(), static_cast<int>(chunk.size()), chunk.data());
  H5Pset_deflate(properties.id(), kDeflateLevel);
  H5Pset_fill_time(properties.id(), H5D_FILL_TIME_NEVER);
  return properties;
}

}  // namespace

struct Hdf5Writer::State {
  explicit State(OutputFile& to) : sink{to} {}

  Result<void> check(bool good, const std::string& doing) const {
    if (sink.error) return tl::unexpected<Error>(*sink.error);
    if (good) return {};
    return fail(ErrorCode::Io, fmt::format("HDF5, {}: {}", doing, last_words()),
                "please report this, with the version of libhdf5");
  }
  Result<void> describe(hid_t object, const Hdf5Attributes& attributes) const {
    for (const Hdf5Attribute& attribute : attributes) {
      const herr_t result =
          std::visit(AttributeWriter{object, attribute.name.c_str()}, attribute.value);
      PCM_TRY(check(result >= 0, "attribute " + attribute.name));
    }
    return {};
  }
  Result<void> begin(const std::string& dataset_name, const Hdf5Dimensions& along, hid_t of_type,
                     bool compressed, const Hdf5Attributes& attributes) {
    name = dataset_name;
    type = of_type;
    std::vector<hsize_t> shape;
    for (const std::string& dimension : along) shape.push_back(extents.at(dimension));
    space =
        Handle(H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr), H5Sclose);
    const Handle storage = storage_of(shape, compressed);
    dataset = Handle(H5Dcreate2(file.id(), name.c_str(), type, space.id(), H5P_DEFAULT,
                                storage.id(), H5P_DEFAULT),
                     H5Dclose);
    PCM_TRY(check(dataset.good(), name));
    for (unsigned axis = 0; axis < along.size(); ++axis) {
      if (along[axis] == name) {
        PCM_TRY(check(H5DSset_scale(dataset.id(), name.c_str()) >= 0, name));
        continue;
      }
      const Handle scale(H5Dopen2(file.id(), along[axis].c_str(), H5P_DEFAULT), H5Dclose);
      PCM_TRY(check(H5DSattach_scale(dataset.id(), scale.id(), axis) >= 0, name));
    }
    return describe(dataset.id(), attributes);
  }

  Sink sink;
  Handle driver, file;
  std::map<std::string, hsize_t> extents;  ///< of the dimensions
  // The dataset that is being written.
  std::string name;
  hid_t type = H5I_INVALID_HID;
  Handle space, dataset;
};

Hdf5Writer::Hdf5Writer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Hdf5Writer::Hdf5Writer(Hdf5Writer&&) noexcept = default;
Hdf5Writer::~Hdf5Writer() = default;

Result<Hdf5Writer> Hdf5Writer::create(OutputFile& file) {
  static constexpr H5FD_class_t kDriver = sink_driver();
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);  // errors are told by us
  auto state = std::make_unique<State>(file);
  state->driver = Handle(H5FDregister(&kDriver), H5FDunregister);
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose),
      create(H5Pcreate(H5P_FILE_CREATE), H5Pclose);
  Sink* const sink = &state->sink;
  PCM_TRY(state->check(H5Pset_driver(access.id(), state->driver.id(), &sink) >= 0, "its driver"));
  // Formats that HDF5 1.8 and later read; readers find names in the order of writing.
  H5Pset_libver_bounds(access.id(), H5F_LIBVER_V18, H5F_LIBVER_V18);
  H5Pset_link_creation_order(create.id(), H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
  state->file = Handle(H5Fcreate("pcmlab", H5F_ACC_TRUNC, create.id(), access.id()), H5Fclose);
  PCM_TRY(state->check(state->file.good(), "a new file"));
  return Hdf5Writer(std::move(state));
}

Result<void> Hdf5Writer::describe(const Hdf5Attributes& attributes) {
  return state_->describe(state_->file.id(), attributes);
}

void Hdf5Writer::add_dimension(const std::string& name, std::uint64_t extent) {
  state_->extents[name] = extent;
}

Result<void> Hdf5Writer::begin(const std::string& name, const Hdf5Dimensions& dimensions,
                               Hdf5Type type, const Hdf5Attributes& attributes) {
  return state_->begin(name, dimensions, native(type), true, attributes);
}

Result<void> Hdf5Writer::write_all(const void* values) {
  const herr_t result =
      H5Dwrite(state_->dataset.id(), state_->type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
  return state_->check(result >= 0, state_->name);
}

Result<void> Hdf5Writer::write_part(std::uint64_t row, std::uint64_t first, const void* values,
                                    std::uint64_t count) {
  const bool rows = H5Sget_simple_extent_ndims(state_->space.id()) == 2;
  const std::vector<hsize_t> from =
      rows ? std::vector<hsize_t>{row, first} : std::vector<hsize_t>{first};
  const std::vector<hsize_t> shape =
      rows ? std::vector<hsize_t>{1, count} : std::vector<hsize_t>{count};
  const Handle memory(H5Screate_simple(1, &shape.back(), nullptr), H5Sclose);
  const bool good = H5Sselect_hyperslab(state_->space.id(), H5S_SELECT_SET, from.data(), nullptr,
                                        shape.data(), nullptr) >= 0 &&
                    H5Dwrite(state_->dataset.id(), state_->type, memory.id(), state_->space.id(),
                             H5P_DEFAULT, values) >= 0;
  return state_->check(good, state_->name);
}

Result<void> Hdf5Writer::end() { return state_->check(state_->dataset.close() >= 0, state_->name); }

Result<void> Hdf5Writer::texts(const std::string& name, const Hdf5Dimensions& dimensions,
                               std::span<const std::string> values,
                               const Hdf5Attributes& attributes) {
  const Handle type = text_type();
  PCM_TRY(state_->begin(name, dimensions, type.id(), false, attributes));
  std::vector<const char*> begins;
  for (const std::string& text : values) begins.push_back(text.c_str());
  if (!begins.empty()) PCM_TRY(write_all(begins.data()));
  return end();
}

Result<void> Hdf5Writer::finish() {
  return state_->check(state_->file.close() >= 0, "closing the file");
}

}  // namespace pcmlab
