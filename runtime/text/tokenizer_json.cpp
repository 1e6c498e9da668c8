// The JSON layer of tokenizer.json: a SAX reader, because a document tree of 400,000 small strings takes longer than
// all else.
#include "runtime/text/tokenizer_json.hpp"

#include <nlohmann/json.hpp>

#include "kernels/base/error.hpp"

namespace argosy {
namespace {

using nlohmann::json;

class Reader : public nlohmann::json_sax<json> {
  public:
    Reader(const std::string& file, TokenizerJson& out, json& rest) : file_(file), out_(out), root_(rest) {}

    bool null() override { return scalar(nullptr); }
    bool boolean(bool value) override { return scalar(value); }
    bool number_integer(number_integer_t value) override { return number(value); }
    bool number_unsigned(number_unsigned_t value) override {
        return where_ == Where::vocab ? token_id(value > INT32_MAX ? -1 : static_cast<int64_t>(value)) : scalar(value);
    }
    bool number_float(number_float_t value, const string_t&) override { return scalar(value); }
    bool binary(binary_t&) override { return scalar(nullptr); }
    bool string(string_t& value) override {
        if (where_ == Where::merges) return merge_line(value);
        if (where_ == Where::merge_pair) return merge_part(value);
        return scalar(std::move(value));
    }

    bool start_object(size_t) override {
        if (where_ == Where::vocab || where_ == Where::merges || where_ == Where::merge_pair) wrong_type();
        if (where_ == Where::model && key_ == "vocab") {
            out_.has_vocab = true;
            return enter(Where::vocab);
        }
        const Where next = stack_.empty()                             ? Where::root
                           : where_ == Where::root && key_ == "model" ? Where::model
                                                                      : Where::other;
        open(json::object());
        return enter(next);
    }
    bool key(string_t& value) override {
        if (where_ == Where::vocab) {
            out_.tokens.push_back(value);
        } else {
            key_ = std::move(value);
        }
        return true;
    }
    bool end_object() override { return leave(); }

    bool start_array(size_t) override {
        if (where_ == Where::vocab || where_ == Where::merge_pair) wrong_type();
        if (where_ == Where::model && key_ == "merges") {
            out_.has_merges = true;
            return enter(Where::merges);
        }
        if (where_ == Where::merges) {
            parts_ = 0;
            return enter(Where::merge_pair);
        }
        open(json::array());
        return enter(Where::other);
    }
    bool end_array() override {
        if (where_ == Where::merge_pair && parts_ != 2) bad_merge();
        return leave();
    }

    bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& e) override {
        fail(ErrorKind::input, "{} is not valid JSON at byte {}: {}. Fetch the file again.", file_, position, e.what());
    }

  private:
    enum class Where { none, root, model, vocab, merges, merge_pair, other };

    bool enter(Where next) {
        outer_.push_back(where_);
        where_ = next;
        return true;
    }
    bool leave() {
        if (where_ == Where::root || where_ == Where::model || where_ == Where::other) stack_.pop_back();
        where_ = outer_.back();
        outer_.pop_back();
        return true;
    }
    void open(json value) { stack_.push_back(&place(std::move(value))); }
    json& place(json value) {
        if (stack_.empty()) return root_ = std::move(value);
        json& parent = *stack_.back();
        if (!parent.is_array()) return parent[key_] = std::move(value);
        parent.push_back(std::move(value));
        return parent.back();
    }
    bool scalar(json value) {
        if (where_ == Where::vocab || where_ == Where::merges || where_ == Where::merge_pair) wrong_type();
        place(std::move(value));
        return true;
    }
    bool number(int64_t value) { return where_ == Where::vocab ? token_id(value) : scalar(value); }
    bool token_id(int64_t value) {
        out_.ids.push_back(value);
        return true;
    }
    bool merge_line(std::string_view line) {
        const size_t space = line.find(' ');
        if (line.substr(0, 8) == "#version") return true;
        if (space == line.npos || line.find(' ', space + 1) != line.npos) bad_merge();
        out_.merge_left.push_back(line.substr(0, space));
        out_.merge_right.push_back(line.substr(space + 1));
        return true;
    }
    bool merge_part(std::string_view part) {
        if (++parts_ > 2) bad_merge();
        (parts_ == 1 ? out_.merge_left : out_.merge_right).push_back(part);
        return true;
    }
    [[noreturn]] void bad_merge() const {
        fail(ErrorKind::input,
             "{}: merge number {} of model.merges is not two tokens (\"a b\" or [\"a\", \"b\"]). Fetch the file again.",
             file_, out_.merge_right.size());
    }
    [[noreturn]] void wrong_type() const {
        if (where_ == Where::vocab) {
            fail(ErrorKind::input,
                 "{}: model.vocab gives token \"{}\" something that is not an id. Fetch the file again.", file_,
                 out_.tokens.size() ? out_.tokens[out_.tokens.size() - 1] : std::string_view());
        }
        bad_merge();
    }

    const std::string& file_;
    TokenizerJson& out_;
    json& root_;
    std::vector<json*> stack_;  // open containers of the small document
    std::vector<Where> outer_;
    Where where_ = Where::none;
    std::string key_;
    int parts_ = 0;
};

}  // namespace

TokenizerJson parse_tokenizer_json(const std::string& text, const std::string& file, json& rest) {
    TokenizerJson out;
    out.tokens.bytes.reserve(text.size() / 4);
    Reader reader(file, out, rest);
    json::sax_parse(text, &reader);
    if (!rest.is_object()) fail(ErrorKind::input, "{} is not a JSON object. A tokenizer.json is needed.", file);
    return out;
}

}  // namespace argosy
