// Reading a table of options from a command line and a config file, with errors as sentences: what the subcommands
// share. Boost.Program_options stands behind this door.
#pragma once

#include <boost/program_options.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/dtype.hpp"

namespace argosy {

namespace po = boost::program_options;

inline constexpr unsigned kHelpColumns = 110;

template <class T>
po::typed_value<T>* number(T& into) {
    return po::value<T>(&into)->value_name("N");
}

// Turns what the library throws into Error(usage): an unknown option or key is told with the nearest valid one. `where`
// begins the sentence: "argosy run".
[[noreturn]] void fail_parsing(po::error& error, const po::options_description& table, const std::string& where);

// Fills the table's variables: the command line goes before --config FILE, where the table has it.
void read_arguments(const std::vector<std::string>& arguments, const po::options_description& table,
                    const std::string& where);

// "on" or "off". Each of these throws Error(usage) naming the option.
bool parse_switch(const std::string& text, const char* option);
void check_number(std::int64_t value, std::int64_t least, std::int64_t most, const char* option);
void check_word(const std::string& value, const std::vector<std::string_view>& known, const char* option);
std::uint64_t parse_random_seed(const std::string& text);  // --weights random:SEED
DType parse_weight_format(const std::string& text);        // --weights-as, one of kWeightFormats

}  // namespace argosy
