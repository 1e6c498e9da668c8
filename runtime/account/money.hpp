// Integer money: exact decimal parsing and printing, splitting by largest remainder, prices per million tokens.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace argosy::money {

inline constexpr std::int64_t kNano = 1'000'000'000;
inline constexpr std::int64_t kNsPerHour = 3600 * kNano;

// Splits amount >= 0 over weights >= 0 so that the parts add up to it exactly and none is off its true share by a whole
// unit or more: each gets the floor, then the largest remainders one more each, lower index first among equals.
// split_amount(10, {1, 1, 1}) = {4, 3, 3}. Weights that are all zero (or none) can carry nothing: the parts are then
// all zero. Throws Error(internal) on a negative amount or weight.
std::vector<std::int64_t> split_amount(std::int64_t amount, std::span<const __int128> weights);
std::vector<std::int64_t> split_amount(std::int64_t amount, std::span<const std::int64_t> weights);

// "1.30" -> 1'300'000'000. Digits, at most one point, at most nine decimals, no sign or exponent; nothing for anything
// else or for a number of 9.2e9 and more.
std::optional<std::int64_t> parse_nano(std::string_view text);

// A rounded quotient, half away from zero; denominator > 0.
__int128 divide_rounded(__int128 numerator, __int128 denominator);

// The price of one million tokens, in the unit of amount (nanodollars, rank-nanoseconds), rounded; nothing for 0
// tokens.
std::optional<std::int64_t> price_per_million(std::int64_t amount, std::int64_t tokens);

// The same from a rate: nanodollars per million tokens of `devices` devices at price_nano_per_hour each that together
// produce tokens_milli_per_second / 1000 tokens per second; nothing for no tokens or where it does not fit 64 bits.
// Source of the formula: dollars per million = dollars per hour / (3600 tokens per second) 1e6.
std::optional<std::int64_t> price_per_million_at_rate(std::int64_t price_nano_per_hour, std::int64_t devices,
                                                      std::int64_t tokens_milli_per_second);

// "5.200" from 5'200'000'000 with 3 decimals, rounded half away from zero.
std::string decimal(__int128 nano, int decimals);

// With `figures` significant digits, never in exponent form: 0.01923, 1.811, 227.9, 12345.
std::string significant(__int128 nano, int figures);

// "12,345,678"
std::string grouped(std::int64_t value);

}  // namespace argosy::money
