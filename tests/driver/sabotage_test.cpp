// SPDX-License-Identifier: Apache-2.0
// Boards that break one rule fail the checks of that rule and no other.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "driver/conformance/conformance.h"
#include "mock_device/chip_model.h"
#include "mock_device/mock_board.h"
#include "protocol/bytes.h"
#include "protocol/crc32c.h"
#include "protocol/frame_reader.h"
#include "tests/driver/bad_board.h"
#include "tests/driver/conformance_report.h"

namespace pcmlab::conformance {
namespace {

using wire::Frame;
using wire::MessageType;

struct Saboteur {
  const char* name;
  std::function<void(BadBoard&)> plant;
  std::vector<std::string> fails;
};

template <class Reply>
void change_reply(std::vector<Frame>& replies, MessageType type,
                  const std::function<void(Reply&)>& change) {
  Frame& frame = replies.front();
  Result<wire::Reply> reply = decode_reply(frame);
  if (!reply || !std::holds_alternative<Reply>(*reply)) return;
  change(std::get<Reply>(*reply));
  Bytes bytes;
  encode(*reply, type, frame.sequence, bytes);
  wire::FrameReader reader;
  reader.append(bytes);
  frame = *reader.next();
}

/// Changes every reply of a kind.
template <class Reply>
std::function<void(BadBoard&)> changing(MessageType type,
                                        std::function<void(BadBoard&, Reply&)> change) {
  return [type, change](BadBoard& bad) {
    bad.reply = [type, change](BadBoard& board, const Frame& request, std::vector<Frame>& replies) {
      if (request_of(request) != type) return;
      change_reply<Reply>(replies, type, [&](Reply& reply) { change(board, reply); });
    };
  };
}

/// Refuses with another reason.
std::function<void(BadBoard&)> refusing(wire::Refusal reason, wire::Refusal instead) {
  return [reason, instead](BadBoard& bad) {
    bad.reply = [=](BadBoard&, const Frame& request, std::vector<Frame>& replies) {
      change_reply<wire::RefusalReply>(replies, request_of(request),
                                       [&](wire::RefusalReply& refusal) {
                                         if (refusal.reason == reason) refusal.reason = instead;
                                       });
    };
  };
}

/// Changes requests of a kind before the board gets them: what it should refuse it takes.
template <class Request>
std::function<void(BadBoard&)> asking(std::function<void(BadBoard&, Request&)> change) {
  return [change](BadBoard& bad) {
    bad.request = [change](BadBoard& board, Frame& frame) {
      Result<wire::Request> request = decode_request(frame);
      if (!request || !std::holds_alternative<Request>(*request)) return true;
      change(board, std::get<Request>(*request));
      Bytes bytes;
      encode(*request, frame.sequence, bytes);
      wire::FrameReader reader;
      reader.append(bytes);
      frame = *reader.next();
      return true;
    };
  };
}

/// A board that repairs damaged frames, in its way.
std::function<void(BadBoard&)> repairing(const std::function<void(Bytes&)>& repair) {
  return [repair](BadBoard& bad) {
    bad.bytes = [repair](BadBoard& board, std::span<const std::byte> bytes) {
      Bytes repaired(bytes.begin(), bytes.end());
      repair(repaired);
      board.hear(repaired);
    };
  };
}

/// Each place at which a frame begins.
void at_each_frame(Bytes& bytes, const std::function<void(std::size_t at, std::size_t n)>& visit) {
  for (std::size_t at = 0; at + wire::kHeaderBytes + wire::kCrcBytes <= bytes.size(); ++at) {
    wire::ByteReader header(std::span<const std::byte>(bytes).subspan(at, wire::kHeaderBytes));
    if (header.u32() != 0x424D4350u) continue;
    header.u64();
    const std::size_t n = header.u32();
    if (n <= bytes.size() - at - wire::kHeaderBytes - wire::kCrcBytes) visit(at, n);
  }
}

void put_crc(Bytes& bytes, std::size_t at, std::uint32_t crc) {
  std::memcpy(bytes.data() + at, &crc, sizeof crc);
}

/// Whether a whole frame with these CRCs stands there.
struct Crcs {
  bool header = false;
  bool frame = false;
};
Crcs crcs_at(const Bytes& bytes, std::size_t at, std::size_t n) {
  const std::span<const std::byte> frame =
      std::span<const std::byte>(bytes).subspan(at, wire::kHeaderBytes + n + wire::kCrcBytes);
  const std::uint32_t crc = wire::crc32c(frame.first(16));
  wire::ByteReader header(frame.subspan(16, 4));
  wire::ByteReader trailer(frame.subspan(wire::kHeaderBytes + n));
  return {header.u32() == crc,
          trailer.u32() == wire::crc32c(frame.subspan(wire::kHeaderBytes, n), crc)};
}

void make_crcs_right(Bytes& bytes, std::size_t at, std::size_t n) {
  const auto frame = std::span<const std::byte>(bytes).subspan(at);
  const std::uint32_t crc = wire::crc32c(frame.first(16));
  put_crc(bytes, at + 16, crc);
  put_crc(bytes, at + wire::kHeaderBytes + n,
          wire::crc32c(frame.subspan(wire::kHeaderBytes, n), crc));
}

/// Drops what follows a header that `swallows` says yes to, as if it belonged to that frame.
std::function<void(BadBoard&)> swallowing(
    const std::function<bool(std::uint32_t length, bool header_crc_right)>& swallows) {
  return repairing([swallows](Bytes& bytes) {
    for (std::size_t at = 0; at + wire::kHeaderBytes <= bytes.size(); ++at) {
      const auto head = std::span<const std::byte>(bytes).subspan(at, wire::kHeaderBytes);
      wire::ByteReader header(head);
      if (header.u32() != 0x424D4350u) continue;
      header.u64();
      const std::uint32_t length = header.u32();
      if (!swallows(length, header.u32() == wire::crc32c(head.first(16)))) continue;
      bytes.resize(at);
      return;
    }
  });
}

/// A board that takes requests of a kind after a change to their payload.
std::function<void(BadBoard&)> forgiving(MessageType type,
                                         const std::function<void(Bytes&)>& change) {
  return [type, change](BadBoard& bad) {
    bad.request = [type, change](BadBoard&, Frame& frame) {
      if (request_of(frame) == type) change(frame.payload);
      return true;
    };
  };
}
void drop_all(Bytes& payload) { payload.clear(); }
std::function<void(Bytes&)> clear_byte(std::size_t at) {
  return [at](Bytes& payload) {
    if (payload.size() > at) payload[at] = std::byte{0};
  };
}

constexpr std::size_t kEmptyFrame = wire::kHeaderBytes + wire::kCrcBytes;

std::vector<Saboteur> saboteurs() {
  using wire::Refusal;
  return {
      {"answers Status only after the next request",
       [](BadBoard& bad) {
         bad.reply = [](BadBoard& board, const Frame& request, std::vector<Frame>& replies) {
           if (request_of(request) == MessageType::Status && !board.asked.empty()) {
             board.kept.swap(replies);
           } else {
             replies.insert(replies.end(), board.kept.begin(), board.kept.end());
             board.kept.clear();
           }
         };
       },
       {"order.mixed", "order.queued", "abort.later"}},
      {"answers ReadReferences twice",
       [](BadBoard& bad) {
         bad.reply = [](BadBoard&, const Frame& request, std::vector<Frame>& replies) {
           if (request_of(request) == MessageType::ReadReferences) {
             replies.push_back(replies.front());
           }
         };
       },
       {"malformed.references", "order.mixed", "references.line"}},
      {"answers the fourteenth request of a burst twice",
       [](BadBoard& bad) {
         bad.reply = [](BadBoard& board, const Frame&, std::vector<Frame>& replies) {
           board.counter = board.asked.empty() ? 0 : board.counter + 1;
           if (board.counter == 14) replies.push_back(replies.front());
         };
       },
       {"frames.glued", "frames.never_ends", "order.mixed", "order.window", "order.queue_full",
        "order.queue_full_no_effect", "order.queued", "abort.queue", "abort.overfull"}},
      {"never answers UnknownRequest",
       [](BadBoard& bad) {
         bad.reply = [](BadBoard&, const Frame& request, std::vector<Frame>& replies) {
           if (to_string(request_of(request)).empty()) replies.clear();
         };
       },
       {"malformed.unknown", "sequence.copied"}},
      {"copies 16 bits of the sequence number",
       [](BadBoard& bad) {
         bad.reply = [](BadBoard&, const Frame&, std::vector<Frame>& replies) {
           replies.front().sequence &= 0xFFFF;
         };
       },
       {"sequence.copied"}},
      {"ignores a sequence number that it has just had",
       [](BadBoard& bad) {
         bad.number = ~std::uint64_t{0};
         bad.request = [](BadBoard& board, Frame& frame) {
           return std::exchange(board.number, frame.sequence) != frame.sequence;
         };
       },
       {"sequence.copied", "sequence.repeated", "batches.same_frame", "clock.advance_again"}},
      {"does not look at the frame CRC",
       repairing([](Bytes& bytes) {
         at_each_frame(bytes, [&bytes](std::size_t at, std::size_t n) {
           if (crcs_at(bytes, at, n).header) make_crcs_right(bytes, at, n);
         });
       }),
       {"frames.frame_crc", "frames.every_bit", "frames.inside", "frames.truncated"}},
      {"finds one frame in what was no payload, and drops the rest",
       repairing([](Bytes& bytes) {
         at_each_frame(bytes, [&bytes](std::size_t at, std::size_t n) {
           if (!crcs_at(bytes, at, n).header || crcs_at(bytes, at, n).frame) return;
           const std::size_t end = at + wire::kHeaderBytes + n + wire::kCrcBytes;
           const std::size_t second = at + wire::kHeaderBytes + 2 * kEmptyFrame;
           if (second >= end) return;
           std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(second - kEmptyFrame),
                     bytes.begin() + static_cast<std::ptrdiff_t>(end), std::byte{0});
         });
       }),
       {"frames.never_ends"}},
      {"does not look at the header CRC",
       repairing([](Bytes& bytes) {
         at_each_frame(bytes, [&bytes](std::size_t at, std::size_t n) {
           if (crcs_at(bytes, at, n).frame) make_crcs_right(bytes, at, n);
         });
       }),
       {"frames.header_crc", "frames.every_bit"}},
      {"does not look at the version",
       repairing([](Bytes& bytes) {
         at_each_frame(bytes, [&bytes](std::size_t at, std::size_t n) {
           if (!crcs_at(bytes, at, n).frame || !crcs_at(bytes, at, n).header) return;
           bytes[at + 4] = std::byte{1};
           make_crcs_right(bytes, at, n);
         });
       }),
       {"frames.version"}},
      {"answers replies",
       repairing([](Bytes& bytes) {
         at_each_frame(bytes, [&bytes](std::size_t at, std::size_t n) {
           if (!crcs_at(bytes, at, n).frame || !crcs_at(bytes, at, n).header) return;
           bytes[at + 5] &= std::byte{0x7F};
           make_crcs_right(bytes, at, n);
         });
       }),
       {"frames.replies"}},
      {"waits for what a damaged header promises",
       swallowing([](std::uint32_t length, bool right) { return !right && length > 1000; }),
       {"frames.garbage", "frames.every_bit", "frames.promised"}},
      {"waits for more than 4 MiB",
       swallowing([](std::uint32_t length, bool) { return length > (4u << 20); }),
       {"frames.every_bit", "frames.oversized"}},
      {"sends long frames with a wrong CRC",
       [](BadBoard& bad) {
         bad.wire = [](Bytes& bytes) {
           if (bytes.size() > 10000) bytes.back() ^= std::byte{1};
         };
       },
       {"reads.most_devices", "speed.block_reads"}},
      {"greets whoever comes with version 1",
       [](BadBoard& bad) {
         bad.request = [](BadBoard&, Frame& frame) {
           if (request_of(frame) == MessageType::Hello && frame.payload.size() == 2) {
             frame.payload = {std::byte{1}, std::byte{1}};
           }
           return true;
         };
       },
       {"opening.hello_none", "opening.hello_impossible"}},
      {"boots at every Hello",
       [](BadBoard& bad) {
         bad.request = [](BadBoard& board, Frame& frame) {
           if (request_of(frame) == MessageType::Hello && board.asked.size() == 1) {
             board.board.reboot();
           }
           return true;
         };
       },
       {"opening.hello_again", "opening.epochs", "malformed.hello", "connection.state",
        "connection.batches"}},
      {"says nothing before Hello",
       [](BadBoard& bad) {
         bad.request = [](BadBoard& board, Frame& frame) {
           if (request_of(frame) == MessageType::Hello) ++board.counter;
           return board.counter > 0;
         };
       },
       {"opening.before_hello"}},
      {"says version 2",
       changing<wire::HelloReply>(MessageType::Hello,
                                  [](BadBoard&, wire::HelloReply& reply) { reply.version = 2; }),
       {"opening.hello"}},
      {"speaks version 1 with hosts that speak no other",
       forgiving(MessageType::Hello,
                 [](Bytes& payload) {
                   if (payload == Bytes{std::byte{1}, std::byte{255}}) payload[0] = std::byte{255};
                 }),
       {"opening.hello_range"}},
      {"does not say how long a sample takes",
       changing<wire::InformationReply>(
           MessageType::Information,
           [](BadBoard&, wire::InformationReply& reply) { reply.sample_time = {}; }),
       {"opening.information"}},
      {"does not say how warm it may get",
       changing<wire::InformationReply>(
           MessageType::Information,
           [](BadBoard&, wire::InformationReply& reply) { reply.limits.max_temperature = {}; }),
       {"opening.limits", "set_limits.too_hot"}},
      {"wants a frame in one piece",
       [](BadBoard& bad) {
         bad.bytes = [](BadBoard& board, std::span<const std::byte> bytes) {
           board.from_host.reset();
           board.hear(bytes);
         };
       },
       {"frames.byte_by_byte", "frames.split", "frames.glued"}},
      {"does not mind bytes behind Information",
       forgiving(MessageType::Information, drop_all),
       {"malformed.information"}},
      {"does not mind bytes behind Status",
       forgiving(MessageType::Status, drop_all),
       {"malformed.status"}},
      {"does not mind bytes behind Temperature",
       forgiving(MessageType::Temperature, drop_all),
       {"malformed.temperature"}},
      {"does not mind bytes behind Abort",
       forgiving(MessageType::Abort, drop_all),
       {"malformed.abort"}},
      {"does not mind bytes behind a Program of one device",
       forgiving(MessageType::Program,
                 [](Bytes& payload) {
                   if (payload.size() == 23) payload.pop_back();
                 }),
       {"malformed.program", "limits.precedence"}},
      {"does not mind reserved bytes of a Read",
       forgiving(MessageType::Read, clear_byte(1)),
       {"malformed.read"}},
      {"does not mind reserved bytes of an Initialise",
       forgiving(MessageType::Initialise, clear_byte(9)),
       {"malformed.initialise"}},
      {"does not mind reserved bytes of limits",
       forgiving(MessageType::SetLimits, clear_byte(3)),
       {"malformed.set_limits"}},
      {"takes the highest bit of a time for a sign",
       forgiving(MessageType::AdvanceTime,
                 [](Bytes& payload) {
                   if (payload.size() == 8 && payload[7] == std::byte{0x80}) payload[7] = {};
                 }),
       {"malformed.advance_time"}},
      {"does not mind flags",
       [](BadBoard& bad) {
         bad.request = [](BadBoard&, Frame& frame) {
           frame.flags = 0;
           return true;
         };
       },
       {"malformed.flags"}},
      {"gives a used batch another number and runs it",
       [](BadBoard& bad) {
         auto used = std::make_shared<std::vector<std::uint64_t>>();
         bad.number = std::uint64_t{1} << 50;
         asking<wire::ProgramRequest>([used](BadBoard& board, wire::ProgramRequest& request) {
           if (std::count(used->begin(), used->end(), request.batch) > 0) {
             request.batch = ++board.number;
           }
           used->push_back(request.batch);
         })(bad);
       },
       {"limits.precedence", "batches.duplicate", "batches.same_frame", "batches.continued",
        "batches.sixty_four", "connection.batches"}},
      {"keeps 56 bits of a batch number",
       asking<wire::ProgramRequest>([](BadBoard&, wire::ProgramRequest& request) {
         request.batch &= (std::uint64_t{1} << 56) - 1;
       }),
       {"batches.continued"}},
      {"has no times in its records",
       changing<wire::StatusReply>(MessageType::Status,
                                   [](BadBoard&, wire::StatusReply& reply) {
                                     for (wire::BatchRecord& record : reply.recent_batches) {
                                       record.first = record.last = {};
                                     }
                                   }),
       {"batches.times"}},
      {"has the arrival of the request in its records",
       changing<wire::StatusReply>(MessageType::Status,
                                   [](BadBoard&, wire::StatusReply& reply) {
                                     for (wire::BatchRecord& record : reply.recent_batches) {
                                       record.first -= std::chrono::microseconds(5);
                                     }
                                   }),
       {"batches.times"}},
      {"forgets used numbers with the connection",
       [](BadBoard& bad) {
         auto used = std::make_shared<std::vector<std::uint64_t>>();
         auto lost = std::make_shared<bool>(false);
         bad.disconnected = [lost](BadBoard& board) {
           *lost = true;
           board.board.connection_lost();
           board.from_host.reset();
           board.asked.clear();
           board.output.clear();
         };
         asking<wire::ProgramRequest>([used, lost](BadBoard&, wire::ProgramRequest& request) {
           const bool again = std::count(used->begin(), used->end(), request.batch) > 0;
           used->push_back(request.batch);
           if (again && *lost) request.batch += std::uint64_t{1} << 50;
         })(bad);
       },
       {"connection.batches"}},
      {"knows a batch only by a Program",
       asking<wire::InitialiseRequest>([](BadBoard& board, wire::InitialiseRequest& request) {
         request.batch = (std::uint64_t{1} << 50) + ++board.number;
       }),
       {"batches.initialise", "batches.duplicate"}},
      {"cuts amplitudes to the limit",
       asking<wire::ProgramRequest>([](BadBoard&, wire::ProgramRequest& request) {
         for (auto& amplitude : request.amplitudes_10nA) {
           amplitude = std::min<std::uint16_t>(amplitude, 50000);
         }
       }),
       {"limits.amplitude"}},
      {"looks at the width of real pulses only",
       asking<wire::ProgramRequest>([](BadBoard& board, wire::ProgramRequest& request) {
         const auto& amplitudes = request.amplitudes_10nA;
         if (std::count(amplitudes.begin(), amplitudes.end(), 0) ==
             static_cast<std::ptrdiff_t>(amplitudes.size())) {
           request.width = board.board.limits().min_width;
         }
       }),
       {"limits.width", "batches.any_number", "set_limits.enforced"}},
      {"takes one device too many",
       asking<wire::ReadRequest>([](BadBoard& board, wire::ReadRequest& request) {
         if (auto* list = std::get_if<wire::DeviceList>(&request.devices)) {
           const std::size_t most = board.board.limits().max_devices_per_request;
           if (list->addresses.size() == most + 1) list->addresses.pop_back();
         }
       }),
       {"reads.most_devices"}},
      {"wraps addresses around",
       asking<wire::ReadRequest>([](BadBoard&, wire::ReadRequest& request) {
         if (auto* list = std::get_if<wire::DeviceList>(&request.devices)) {
           for (auto& device : list->addresses) device.bit_line.index %= kSmall.bit_lines;
         }
       }),
       {"reads.outside"}},
      {"says LimitExceeded for addresses",
       refusing(Refusal::BadAddress, Refusal::LimitExceeded),
       {"reads.outside", "limits.address", "limits.precedence"}},
      {"says LimitExceeded when too hot",
       refusing(Refusal::OverTemperature, Refusal::LimitExceeded),
       {"set_limits.too_hot"}},
      {"reads lists in the order of the array",
       asking<wire::ReadRequest>([](BadBoard&, wire::ReadRequest& request) {
         if (auto* list = std::get_if<wire::DeviceList>(&request.devices)) {
           std::sort(list->addresses.begin(), list->addresses.end());
         }
       }),
       {"pulses.only_those_named"}},
      {"pulses all devices like the first",
       asking<wire::ProgramRequest>([](BadBoard&, wire::ProgramRequest& request) {
         auto& amplitudes = request.amplitudes_10nA;
         if (!amplitudes.empty() && amplitudes.front() > 10000) {
           std::fill(amplitudes.begin(), amplitudes.end(), amplitudes.front());
         }
       }),
       {"pulses.own_amplitude"}},
      {"gives one sum too few for many devices",
       changing<wire::ReadReply>(MessageType::Read,
                                 [](BadBoard&, wire::ReadReply& reply) {
                                   if (reply.code_sums.size() == 300) reply.code_sums.pop_back();
                                 }),
       {"reads.list"}},
      {"gives one sum too few for a rectangle",
       [](BadBoard& bad) {
         bad.reply = [](BadBoard&, const Frame& request, std::vector<Frame>& replies) {
           const Result<wire::Request> asked = decode_request(request);
           if (!asked || !std::holds_alternative<wire::ReadRequest>(*asked)) return;
           const auto& read = std::get<wire::ReadRequest>(*asked);
           if (!std::holds_alternative<wire::Rectangle>(read.devices)) return;
           change_reply<wire::ReadReply>(replies, MessageType::Read, [](wire::ReadReply& reply) {
             reply.code_sums.pop_back();
           });
         };
       },
       {"reads.rectangle"}},
      {"has 12 bits and sums of 16 that overflow",
       changing<wire::InformationReply>(
           MessageType::Information,
           [](BadBoard&, wire::InformationReply& reply) { reply.adc_bits = 12; }),
       {"reads.sum_over_16_bits"}},
      {"counts a read as a pulse",
       [](BadBoard& bad) {
         bad.reply = [](BadBoard& board, const Frame& request, std::vector<Frame>& replies) {
           change_reply<wire::ReadReply>(replies, request_of(request),
                                         [&board](wire::ReadReply&) { ++board.number; });
           change_reply<wire::StatusReply>(
               replies, request_of(request),
               [&board](wire::StatusReply& reply) { reply.pulses_executed += board.number; });
         };
       },
       {"order.queue_full_no_effect", "reads.no_effect", "connection.state"}},
      {"is at 30 K",
       changing<wire::TemperatureReply>(MessageType::Temperature,
                                        [](BadBoard&, wire::TemperatureReply& reply) {
                                          reply.chip = Temperature::from_K(reply.chip.K() / 10);
                                        }),
       {"reads.temperature"}},
      {"refuses what is at a limit",
       asking<wire::ProgramRequest>([](BadBoard& board, wire::ProgramRequest& request) {
         const double most_uA = board.board.limits().max_amplitude.uA();
         for (auto& amplitude : request.amplitudes_10nA) {
           if (amplitude * wire::kAmplitudeStep_uA >= most_uA) amplitude = 65535;
         }
       }),
       {"limits.at_the_limits"}},
      {"takes one device too many in a Program",
       asking<wire::ProgramRequest>([](BadBoard& board, wire::ProgramRequest& request) {
         if (request.addresses.size() != board.board.limits().max_devices_per_request + 1) return;
         request.addresses.pop_back();
         request.amplitudes_10nA.pop_back();
       }),
       {"limits.devices", "set_limits.enforced"}},
      {"pulses as weakly as it can",
       asking<wire::InitialiseRequest>([](BadBoard& board, wire::InitialiseRequest& request) {
         for (wire::Pulse& pulse : request.sequence) {
           if (pulse.amplitude <= board.board.limits().max_amplitude) {
             pulse.amplitude = std::min(pulse.amplitude, Current::from_uA(0.01));
           }
         }
       }),
       {"pulses.change", "pulses.only_those_named", "pulses.own_amplitude"}},
      {"counts Abort as dropped",
       changing<wire::AbortReply>(
           MessageType::Abort,
           [](BadBoard&, wire::AbortReply& reply) { ++reply.requests_dropped; }),
       {"abort.idle", "abort.queue", "abort.overfull", "abort.batches"}},
      {"gives means in place of sums",
       asking<wire::ReadRequest>([](BadBoard&, wire::ReadRequest& request) {
         if (device_count(request.devices) == 500 && request.samples > 100) request.samples = 1;
       }),
       {"reads.samples"}},
      {"forgets records after 32",
       changing<wire::StatusReply>(MessageType::Status,
                                   [](BadBoard&, wire::StatusReply& reply) {
                                     auto& records = reply.recent_batches;
                                     if (records.size() > 32) {
                                       records.erase(records.begin(), records.end() - 32);
                                     }
                                   }),
       {"batches.sixty_four"}},
      {"has its records newest first",
       changing<wire::StatusReply>(MessageType::Status,
                                   [](BadBoard&, wire::StatusReply& reply) {
                                     std::reverse(reply.recent_batches.begin(),
                                                  reply.recent_batches.end());
                                   }),
       {"batches.program", "batches.zero_pulses", "batches.initialise", "batches.named_twice",
        "batches.sixty_four"}},
      {"counts pulses of amplitude 0",
       changing<wire::ProgramReply>(MessageType::Program,
                                    [](BadBoard&, wire::ProgramReply& reply) {
                                      reply.pulses_executed = reply.devices_done;
                                    }),
       {"batches.program", "batches.zero_pulses"}},
      {"counts every pulse twice since boot",
       changing<wire::StatusReply>(
           MessageType::Status,
           [](BadBoard&, wire::StatusReply& reply) { reply.pulses_executed *= 2; }),
       {"batches.program", "batches.initialise", "batches.named_twice", "batches.same_frame"}},
      {"does not count what waits",
       changing<wire::StatusReply>(
           MessageType::Status,
           [](BadBoard&, wire::StatusReply& reply) { reply.queued_requests = 0; }),
       {"order.queued"}},
      {"steps back in time at reads",
       changing<wire::ReadReply>(MessageType::Read,
                                 [](BadBoard&, wire::ReadReply& reply) {
                                   reply.first -= std::min(reply.first, BoardTime(1000000));
                                   reply.last = reply.first + (reply.last - reply.first) -
                                                std::min(reply.last, BoardTime(1000000));
                                 }),
       {"clock.monotone"}},
      {"is never busy",
       changing<wire::StatusReply>(MessageType::Status,
                                   [](BadBoard&, wire::StatusReply& reply) { reply.busy = {}; }),
       {"clock.reads", "clock.pulses"}},
      {"advances twice as far",
       asking<wire::AdvanceTimeRequest>([](BadBoard& board, wire::AdvanceTimeRequest& request) {
         const Duration forward = request.until - board.board.now();
         if (forward > Duration(0) && forward < std::chrono::hours(2)) request.until += forward;
       }),
       {"clock.advance"}},
      {"takes a time for a duration",
       asking<wire::AdvanceTimeRequest>([](BadBoard& board, wire::AdvanceTimeRequest& request) {
         if (request.until < std::chrono::hours(24)) request.until += board.board.now();
       }),
       {"clock.advance", "clock.advance_again"}},
      {"steps back in time when asked to",
       [](BadBoard& bad) {
         bad.reply = [](BadBoard&, const Frame& request, std::vector<Frame>& replies) {
           const Result<wire::Request> asked = decode_request(request);
           if (!asked || !std::holds_alternative<wire::AdvanceTimeRequest>(*asked)) return;
           change_reply<wire::AdvanceTimeReply>(
               replies, MessageType::AdvanceTime, [&asked](wire::AdvanceTimeReply& reply) {
                 reply.now = std::get<wire::AdvanceTimeRequest>(*asked).until;
               });
         };
       },
       {"clock.advance_again"}},
      {"goes to the end of its clock",
       asking<wire::AdvanceTimeRequest>([](BadBoard&, wire::AdvanceTimeRequest& request) {
         if (request.until == BoardTime::max()) request.until = {};
       }),
       {"clock.advance_too_far"}},
      {"has references 30 % too high",
       changing<wire::ReadReferencesReply>(MessageType::ReadReferences,
                                           [](BadBoard&, wire::ReadReferencesReply& reply) {
                                             for (auto& reading : reply.references)
                                               reading.nominal = reading.nominal * 1.3;
                                           }),
       {"references.line"}},
      {"knows nothing of Abort but its reply",
       [](BadBoard& bad) {
         bad.request = [](BadBoard&, Frame& frame) {
           if (request_of(frame) == MessageType::Abort && frame.payload.empty()) {
             frame.type = static_cast<std::uint8_t>(MessageType::Temperature);
           }
           return true;
         };
         bad.reply = [](BadBoard&, const Frame& request, std::vector<Frame>& replies) {
           if (request_of(request) != MessageType::Abort || !request.payload.empty()) return;
           Bytes bytes;
           encode(wire::AbortReply{0}, MessageType::Abort, request.sequence, bytes);
           wire::FrameReader reader;
           reader.append(bytes);
           replies = {*reader.next()};
         };
       },
       {"abort.queue", "abort.overfull", "abort.batches"}},
      {"does not count what Abort dropped",
       changing<wire::AbortReply>(
           MessageType::Abort,
           [](BadBoard&, wire::AbortReply& reply) { reply.requests_dropped = 0; }),
       {"abort.queue", "abort.overfull", "abort.batches"}},
      {"takes twice as many in flight as it says",
       [](BadBoard& bad) {
         bad.reply = [](BadBoard&, const Frame& request, std::vector<Frame>& replies) {
           change_reply<wire::InformationReply>(replies, request_of(request),
                                                [](wire::InformationReply& reply) {
                                                  if (reply.limits.max_requests_in_flight == 16) {
                                                    reply.limits.max_requests_in_flight = 8;
                                                  }
                                                });
           change_reply<wire::SetLimitsReply>(replies, request_of(request),
                                              [](wire::SetLimitsReply& reply) {
                                                if (reply.limits.max_requests_in_flight == 16) {
                                                  reply.limits.max_requests_in_flight = 8;
                                                }
                                              });
         };
       },
       {"order.queue_full", "order.queue_full_no_effect", "abort.overfull"}},
      {"says that the limits are what was asked for",
       [](BadBoard& bad) {
         bad.reply = [](BadBoard&, const Frame& request, std::vector<Frame>& replies) {
           const Result<wire::Request> asked = decode_request(request);
           if (!asked || !std::holds_alternative<wire::SetLimitsRequest>(*asked)) return;
           change_reply<wire::SetLimitsReply>(
               replies, MessageType::SetLimits, [&asked](wire::SetLimitsReply& reply) {
                 reply.limits = std::get<wire::SetLimitsRequest>(*asked).limits;
               });
         };
       },
       {"set_limits.looser", "set_limits.tighter", "set_limits.pulses_each",
        "set_limits.none_in_flight"}},
      {"forgets tighter limits at once",
       [](BadBoard& bad) {
         bad.request = [](BadBoard& board, Frame& frame) {
           if (request_of(frame) == MessageType::SetLimits) board.kept = {frame};
           if (request_of(frame) != MessageType::SetLimits || board.counter++ < 3) return true;
           const Result<wire::Request> asked = decode_request(frame);
           if (!asked) return true;
           frame.payload = payload_of(wire::SetLimitsRequest{board.board.limits()});
           return true;
         };
       },
       {"set_limits.tighter", "set_limits.too_hot", "set_limits.pulses_each",
        "set_limits.none_in_flight"}},
      {"remembers half a frame over a lost connection",
       [](BadBoard& bad) {
         bad.disconnected = [](BadBoard& board) {
           board.board.connection_lost();
           board.asked.clear();
           board.output.clear();
         };
       },
       {"connection.cut_frame", "connection.state", "connection.batches", "set_limits.same"}},
      {"goes on with its queue over a lost connection",
       [](BadBoard& bad) { bad.disconnected = [](BadBoard& board) { board.from_host.reset(); }; },
       {"connection.state"}},
      {"boots when the connection is lost",
       [](BadBoard& bad) {
         bad.disconnected = [](BadBoard& board) {
           board.board.reboot();
           board.from_host.reset();
           board.asked.clear();
           board.output.clear();
         };
       },
       {"connection.state", "connection.batches"}},
  };
}

void PrintTo(const Saboteur& saboteur, std::ostream* out) { *out << saboteur.name; }

class Sabotage : public ::testing::TestWithParam<Saboteur> {};

TEST_P(Sabotage, FailsTheChecksOfThatRuleAndNoOther) {
  const auto board = std::make_shared<BadBoard>(make_board(mock::chip_presets().front(), kSmall));
  GetParam().plant(*board);
  const Report report = run(*transport_to(board), quick());
  EXPECT_EQ(ids(report, Verdict::Failed), GetParam().fails)
      << "a board that " << GetParam().name << "\n"
      << failures(report);
}

TEST(Conformance, EveryCheckIsFailedBySomeBoard) {
  // Those of conformance_real_time_test.cpp.
  std::vector<std::string> failed{"clock.wall", "speed.block_reads", "speed.round_trip"};
  for (const Saboteur& saboteur : saboteurs()) {
    failed.insert(failed.end(), saboteur.fails.begin(), saboteur.fails.end());
  }
  for (const CheckInfo& check : checks()) EXPECT_THAT(failed, ::testing::Contains(check.id));
}

/// "answers replies" as "ABoardThatAnswersReplies".
std::string test_name(const ::testing::TestParamInfo<Saboteur>& info) {
  std::string name = "ABoardThat";
  bool begins = true;
  for (const char* c = info.param.name; *c != 0; ++c) {
    if (std::isalnum(static_cast<unsigned char>(*c)) == 0) {
      begins = true;
      continue;
    }
    name += begins ? static_cast<char>(std::toupper(static_cast<unsigned char>(*c))) : *c;
    begins = false;
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(Conformance, Sabotage, ::testing::ValuesIn(saboteurs()), test_name);

}  // namespace
}  // namespace pcmlab::conformance
