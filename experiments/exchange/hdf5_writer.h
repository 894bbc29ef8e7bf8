// SPDX-License-Identifier: Apache-2.0
/// \file
/// HDF5 with dimension scales, as h5py, xarray and netCDF-4 read it. Used by one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "experiments/exchange/output_file.h"

namespace pcmlab {

/// What is said of a dataset, or of the whole file.
struct Hdf5Attribute {
  std::string name;
  std::variant<std::string, std::int64_t, std::uint64_t, double, std::vector<std::uint8_t>> value;
};
using Hdf5Attributes = std::vector<Hdf5Attribute>;

/// Names of dimensions, the slowest first.
using Hdf5Dimensions = std::vector<std::string>;

enum class Hdf5Type { Int8, UInt8, UInt16, Int32, Int64, Float32, Float64 };

/// Writes datasets into one file: a dimension first, then what lies along it. Datasets of more than
/// some hundred values are compressed in chunks along their last dimension.
///
/// All bytes go through the OutputFile. When that fails, HDF5 is not told, so that it can always
/// close what it has open; whoever calls is told at once.
/// Errors of all: those of OutputFile; Io with HDF5's own words.
class Hdf5Writer {
 public:
  /// \param file  empty so far; outlives the writer.
  static Result<Hdf5Writer> create(OutputFile& file);
  Hdf5Writer(Hdf5Writer&&) noexcept;
  Hdf5Writer& operator=(Hdf5Writer&&) = delete;
  Hdf5Writer(const Hdf5Writer&) = delete;
  Hdf5Writer& operator=(const Hdf5Writer&) = delete;
  ~Hdf5Writer();

  /// Of the whole file.
  Result<void> describe(const Hdf5Attributes& attributes);

  /// A dimension, with the label of each of its places.
  template <class Number>
  Result<void> dimension(const std::string& name, std::span<const Number> labels,
                         const Hdf5Attributes& attributes) {
    add_dimension(name, labels.size());
    return array(name, {name}, labels, attributes);
  }

  /// A whole dataset, in C order. \pre the dimensions are there and hold as many values.
  template <class Number>
  Result<void> array(const std::string& name, const Hdf5Dimensions& dimensions,
                     std::span<const Number> values, const Hdf5Attributes& attributes) {
    PCM_TRY(begin(name, dimensions, type_of(Number{}), attributes));
    PCM_TRY(write_all(values.data()));
    return end();
  }
  Result<void> texts(const std::string& name, const Hdf5Dimensions& dimensions,
                     std::span<const std::string> values, const Hdf5Attributes& attributes);

  /// A dataset in parts, of one or two dimensions: begin(), any number of add(), end().
  Result<void> begin(const std::string& name, const Hdf5Dimensions& dimensions, Hdf5Type type,
                     const Hdf5Attributes& attributes);
  /// Values of one row from `first` on; of a dataset of one dimension, row 0 is all there is.
  template <class Number>
  Result<void> add(std::uint64_t row, std::uint64_t first, std::span<const Number> values) {
    return write_part(row, first, values.data(), values.size());
  }
  Result<void> end();

  /// Writes everything down; nothing may follow. The OutputFile is then still to be finished.
  Result<void> finish();

  static Hdf5Type type_of(std::int8_t) { return Hdf5Type::Int8; }
  static Hdf5Type type_of(std::uint8_t) { return Hdf5Type::UInt8; }
  static Hdf5Type type_of(std::uint16_t) { return Hdf5Type::UInt16; }
  static Hdf5Type type_of(std::int32_t) { return Hdf5Type::Int32; }
  static Hdf5Type type_of(std::int64_t) { return Hdf5Type::Int64; }
  static Hdf5Type type_of(float) { return Hdf5Type::Float32; }
  static Hdf5Type type_of(double) { return Hdf5Type::Float64; }

 private:
  struct State;
  explicit Hdf5Writer(std::unique_ptr<State> state);
  void add_dimension(const std::string& name, std::uint64_t extent);
  Result<void> write_all(const void* values);
  Result<void> write_part(std::uint64_t row, std::uint64_t first, const void* values,
                          std::uint64_t count);

  std::unique_ptr<State> state_;
};

}  // namespace pcmlab
