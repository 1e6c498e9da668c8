// Sizes as people write them.
#include <charconv>
#include <cmath>

#include "kernels/base/error.hpp"
#include "launch/options.hpp"

namespace argosy {

std::int64_t parse_bytes(const std::string& text, const std::string& option) {
    struct Unit {
        std::string_view name;
        double bytes;
    };
    static constexpr Unit kUnits[] = {
        {"", 1},     {"B", 1},    {"KiB", 1024.0}, {"MiB", 1048576.0}, {"GiB", 1073741824.0}, {"TiB", 1099511627776.0},
        {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9},     {"TB", 1e12}};
    double number = 0;
    const char* begin = text.data();
    const char* end = begin + text.size();
    const auto [stop, error] = std::from_chars(begin, end, number);
    std::string_view unit(stop, static_cast<std::size_t>(end - stop));
    while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
    if (error == std::errc{} && std::isfinite(number) && number >= 0) {
        for (const Unit& known : kUnits) {
            if (unit == known.name && number * known.bytes < 9e18)
                return static_cast<std::int64_t>(number * known.bytes);
        }
    }
    fail(ErrorKind::usage, "{} is \"{}\", which is not a size. Write a number with a unit, like 512MiB or 10GiB.",
         option, text);
}

}  // namespace argosy
