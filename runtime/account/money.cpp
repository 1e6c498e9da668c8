// Integer money: the largest-remainder split, decimals in and out, prices per million.
#include "runtime/account/money.hpp"

#include <algorithm>
#include <bit>
#include <numeric>

#include "kernels/base/error.hpp"

namespace argosy::money {

namespace {

using Wide = __int128;

int bit_width(Wide value) {
    const auto high = static_cast<std::uint64_t>(value >> 64);
    const auto low = static_cast<std::uint64_t>(value);
    return high != 0 ? 64 + std::bit_width(high) : std::bit_width(low);
}

// How far weights must be shifted right so that amount x (sum of weights) stays below 2^126.
int shift_for(std::int64_t amount, std::span<const Wide> weights) {
    Wide largest = 0;
    for (const Wide weight : weights) {
        if (weight < 0) fail(ErrorKind::internal, "A split of money was asked for with a negative weight.");
        largest = std::max(largest, weight);
    }
    const int bits = bit_width(largest) + std::bit_width(weights.size()) + bit_width(amount);
    return std::max(0, bits - 126);
}

std::string digits_of(Wide value) {
    std::string text;
    do {
        text += static_cast<char>('0' + static_cast<int>(value % 10));
        value /= 10;
    } while (value > 0);
    std::reverse(text.begin(), text.end());
    return text;
}

}  // namespace

std::vector<std::int64_t> split_amount(std::int64_t amount, std::span<const Wide> weights) {
    if (amount < 0) fail(ErrorKind::internal, "A split of the negative amount {} was asked for.", amount);
    std::vector<std::int64_t> parts(weights.size(), 0);
    const int shift = shift_for(amount, weights);
    Wide sum = 0;
    for (const Wide weight : weights) sum += weight >> shift;
    if (sum == 0) return parts;

    std::int64_t left = amount;
    std::vector<Wide> remainders(weights.size());
    for (std::size_t i = 0; i < weights.size(); ++i) {
        const Wide product = Wide{amount} * (weights[i] >> shift);
        parts[i] = static_cast<std::int64_t>(product / sum);
        remainders[i] = product % sum;
        left -= parts[i];
    }
    if (left == 0) return parts;
    // Sum of remainders = left x sum and each is below sum, so more than `left` of them are positive: a weight of 0
    // never gets a unit.
    std::vector<std::size_t> order(weights.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::nth_element(order.begin(), order.begin() + (left - 1), order.end(), [&](std::size_t a, std::size_t b) {
        return remainders[a] != remainders[b] ? remainders[a] > remainders[b] : a < b;
    });
    for (std::int64_t k = 0; k < left; ++k) ++parts[order[static_cast<std::size_t>(k)]];
    return parts;
}

std::vector<std::int64_t> split_amount(std::int64_t amount, std::span<const std::int64_t> weights) {
    const std::vector<Wide> wide(weights.begin(), weights.end());
    return split_amount(amount, wide);
}

std::optional<std::int64_t> parse_nano(std::string_view text) {
    const std::size_t point = std::min(text.find('.'), text.size());
    const std::string_view whole = text.substr(0, point);
    const std::string_view part = point < text.size() ? text.substr(point + 1) : std::string_view{};
    if (whole.empty() || whole.size() > 10 || part.size() > 9 || (point < text.size() && part.empty())) return {};
    Wide value = 0;
    for (const char c : whole) {
        if (c < '0' || c > '9') return {};
        value = value * 10 + (c - '0');
    }
    for (std::size_t i = 0; i < 9; ++i) {
        const char c = i < part.size() ? part[i] : '0';
        if (c < '0' || c > '9') return {};
        value = value * 10 + (c - '0');
    }
    if (value > INT64_MAX) return {};
    return static_cast<std::int64_t>(value);
}

Wide divide_rounded(Wide numerator, Wide denominator) {
    const Wide half = denominator / 2;
    // n / d rounded = floor of (n + d/2) / d; for an odd d the quotient n/d is never exactly a half.
    return numerator < 0 ? -((-numerator + half) / denominator) : (numerator + half) / denominator;
}

std::optional<std::int64_t> price_per_million(std::int64_t amount, std::int64_t tokens) {
    if (tokens <= 0) return {};
    const Wide price = divide_rounded(Wide{amount} * 1'000'000, tokens);
    if (price > INT64_MAX || price < INT64_MIN) return {};
    return static_cast<std::int64_t>(price);
}

std::optional<std::int64_t> price_per_million_at_rate(std::int64_t price_nano_per_hour, std::int64_t devices,
                                                      std::int64_t tokens_milli_per_second) {
    if (tokens_milli_per_second <= 0 || price_nano_per_hour < 0 || devices < 0) return {};
    Wide numerator = Wide{price_nano_per_hour} * devices;
    if (__builtin_mul_overflow(numerator, Wide{1'000'000'000}, &numerator)) return {};
    const Wide price = divide_rounded(numerator, Wide{3600} * tokens_milli_per_second);
    if (price > INT64_MAX) return {};
    return static_cast<std::int64_t>(price);
}

std::string decimal(Wide nano, int decimals) {
    decimals = std::clamp(decimals, 0, 9);
    Wide unit = 1;
    for (int i = decimals; i < 9; ++i) unit *= 10;
    const Wide rounded = divide_rounded(nano, unit);
    std::string text = digits_of(rounded < 0 ? -rounded : rounded);
    if (static_cast<int>(text.size()) <= decimals) {
        text = std::string(static_cast<std::size_t>(decimals) + 1 - text.size(), '0') + text;
    }
    if (decimals > 0) {
        const std::size_t point = text.size() - static_cast<std::size_t>(decimals);
        text = text.substr(0, point) + '.' + text.substr(point);
    }
    return rounded < 0 ? '-' + text : text;
}

std::string significant(Wide nano, int figures) {
    if (nano == 0) return "0";
    const int leading =
        static_cast<int>(digits_of(nano < 0 ? -nano : nano).size()) - 10;  // power of ten of the first digit
    return decimal(nano, figures - 1 - leading);
}

std::string grouped(std::int64_t value) {
    const std::string digits = digits_of(value < 0 ? -Wide{value} : Wide{value});
    std::string text = value < 0 ? "-" : "";
    for (std::size_t i = 0; i < digits.size(); ++i) {
        if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
        text += digits[i];
    }
    return text;
}

}  // namespace argosy::money
