// Boost's errors turned into sentences, and the checks of values.
#include "launch/option_reading.hpp"

#include <algorithm>
#include <fstream>
#include <sstream>

#include "kernels/base/error.hpp"
#include "kernels/base/nearest.hpp"
#include "kernels/quant/block_format.hpp"

namespace argosy {

namespace {

std::string nearest_option(const std::string& word, const po::options_description& table) {
    std::vector<std::string> names;
    for (const auto& option : table.options()) names.push_back(option->long_name());
    std::vector<std::string_view> views(names.begin(), names.end());
    const std::string near = nearest(word, views);
    return near.empty() ? "" : fmt::format(" Did you mean {}?", near);
}

// Boost's text of an error. Boost puts values into it by replacing %value% until none is left: a value that holds
// %value% itself would never end. Percent signs of values are therefore out of sight meanwhile.
std::string boost_text(po::error& error) {
    constexpr char kHidden = '\x01';
    struct Named : po::error_with_option_name {  // whose values only a derived class may see
        static auto& values(po::error_with_option_name& e) { return e.*&Named::m_substitutions; }
    };
    if (auto* named = dynamic_cast<po::error_with_option_name*>(&error)) {
        for (auto& [name, value] : Named::values(*named)) std::replace(value.begin(), value.end(), '%', kHidden);
    }
    std::string text = error.what();
    std::replace(text.begin(), text.end(), kHidden, '%');
    return text;
}

}  // namespace

// Boost's own error texts are not sentences that say what to do.
void fail_parsing(po::error& error, const po::options_description& table, const std::string& where) {
    if (const auto* unknown = dynamic_cast<const po::unknown_option*>(&error)) {
        std::string word = unknown->get_option_name();
        while (!word.empty() && word.front() == '-') word.erase(word.begin());
        fail(ErrorKind::usage, "{} has no option \"{}\".{} Every option stands in --help.", where, word.substr(0, 60),
             nearest_option(word, table));
    }
    if (dynamic_cast<const po::too_many_positional_options_error*>(&error) != nullptr) {
        fail(ErrorKind::usage, "{} takes options only, each as --NAME VALUE; a word stands alone. See --help.", where);
    }
    if (dynamic_cast<const po::invalid_config_file_syntax*>(&error) != nullptr) {
        fail(ErrorKind::usage, "{}: {}. Write one NAME = VALUE on each line.", where, boost_text(error));
    }
    if (dynamic_cast<const po::validation_error*>(&error) != nullptr)
        fail(ErrorKind::usage, "{}: {}. Give a value of the kind that --help shows.", where, boost_text(error));
    fail(ErrorKind::usage, "{}: {}. Every option stands in --help.", where, boost_text(error));
}

namespace {

// A second file would be passed over in silence, and help is no setting.
void refuse_keys_of_the_command_line(const po::parsed_options& lines, const std::string& file) {
    for (const auto& line : lines.options) {
        if (line.string_key != "config" && line.string_key != "help") continue;
        fail(ErrorKind::usage,
             "The config file {} has the key \"{}\", which works on the command line only. Remove it.", file,
             line.string_key);
    }
}

}  // namespace

void read_arguments(const std::vector<std::string>& arguments, const po::options_description& table,
                    const std::string& where) {
    po::variables_map values;
    try {
        namespace style = po::command_line_style;
        const auto parsed = po::command_line_parser(arguments)
                                .options(table)
                                .style(style::allow_long | style::long_allow_adjacent | style::long_allow_next)
                                .run();
        for (const auto& option : parsed.options) {
            if (option.position_key < 0) continue;
            fail(ErrorKind::usage,
                 "{} takes options only, each as --NAME VALUE; a word stands alone: \"{}\". See --help.", where,
                 option.original_tokens.empty() ? "" : option.original_tokens[0].substr(0, 60));
        }
        po::store(parsed, values);
        if (values.count("config") != 0u) {
            const std::string file = values["config"].as<std::string>();
            std::ifstream stream(file);
            if (!stream) fail(ErrorKind::usage, "The config file {} cannot be read. Check --config.", file);
            try {
                const auto lines = po::parse_config_file(stream, table);
                refuse_keys_of_the_command_line(lines, file);
                po::store(lines, values);
            } catch (po::error& error) {
                fail_parsing(error, table, "The config file " + file);
            }
        }
        po::notify(values);
    } catch (po::error& error) {
        fail_parsing(error, table, where);
    }
}

bool parse_switch(const std::string& text, const char* option) {
    if (text == "on") return true;
    if (text == "off") return false;
    fail(ErrorKind::usage, "{} is \"{}\"; write on or off.", option, text);
}

void check_number(std::int64_t value, std::int64_t least, std::int64_t most, const char* option) {
    if (value < least || value > most)
        fail(ErrorKind::usage, "{} is {}; it must lie between {} and {}.", option, value, least, most);
}

void check_word(const std::string& value, const std::vector<std::string_view>& known, const char* option) {
    std::string list;
    for (const std::string_view word : known) {
        if (value == word) return;
        list += list.empty() ? std::string(word) : ", " + std::string(word);
    }
    fail(ErrorKind::usage, "{} is \"{}\"; it must be one of {}.", option, value, list);
}

std::uint64_t parse_random_seed(const std::string& text) {
    const std::string prefix = "random:";
    std::uint64_t seed = 0;
    std::istringstream digits(text.substr(std::min(prefix.size(), text.size())));
    if (text.rfind(prefix, 0) != 0 || !(digits >> seed) || !digits.eof())
        fail(ErrorKind::usage, "--weights is \"{}\"; write random:SEED with a number, like random:1.", text);
    return seed;
}

DType parse_weight_format(const std::string& text) {
    std::vector<std::string_view> names;
    for (const DType format : kWeightFormats) {
        names.push_back(name_of(format));
        if (text == names.back()) return format;
    }
    check_word(text, names, "--weights-as");
    return DType::f32;
}

}  // namespace argosy
