// Damaged templates and hostile ones: never a crash, never a hang, always a text or a sentence, and the same each time.
#include <catch2/catch.hpp>
#include <fstream>
#include <random>
#include <sstream>

#include "kernels/base/error.hpp"
#include "runtime/text/chat_template.hpp"
#include "runtime/text/jinja_json.hpp"
#include "runtime/text/utf8.hpp"
#include "tests/support/shared_data.hpp"

namespace argosy::test {

namespace {

namespace fs = std::filesystem;

// Written for this test: every kind of tag, so that there is something to damage without reference data.
constexpr const char* kOwn = R"({{- bos_token }}{%- macro show(v, depth=0) -%}{%- if v is mapping -%}
{%- for k, x in v | dictsort -%}{{ k ~ '=' }}{{ show(x, depth + 1) }}{%- if not loop.last %}, {% endif -%}{%- endfor -%}
{%- elif v is iterable and v is not string -%}[{%- for x in v -%}{{ show(x, depth=depth + 1) }}{%- endfor -%}]
{%- else -%}{{ v | string | replace("'", '"') }}{%- endif -%}{%- endmacro -%}
{% set ns = namespace(last=-1, seen=[]) %}{% for m in messages %}{% if m['role'] == 'user' %}{% set ns.last = loop.index0 %}
{% set ns.seen = ns.seen + [m.role] %}{% endif %}{% endfor %}
{% for message in messages %}{% if loop.index0 > ns.last + 5 %}{% break %}{% endif %}
<|{{ message.role | upper }}|>{{ (message.content or '')[:200].split('</think>')[-1] | trim }}{{ show(message) }}
{%- if message.tool_calls is defined %}{{ message.tool_calls | tojson(indent=2) }}{% endif %}{% endfor %}
{% if tools %}{{ tools | map(attribute='function') | selectattr('name', 'defined') | list | length * 2 ** 3 // 5 }}{% endif %}
{% set x %}{% filter upper %}{{ messages[::-1][0].content }}{% endfilter %}{% endset %}{{ x }}
{% with a = range(3) | list, b = {'k': (1, 2.5, none)} %}{{ a[1:] ~ b.k[-1] }}{% endwith %}
{% if messages | length > 50 %}{{ raise_exception('too many') }}{% endif %}{% if add_generation_prompt %}<|assistant|>{% endif %})";

constexpr const char* kMessages =
    R"([{"role":"system","content":"Be brief."},{"role":"user","content":"Hi <think>a</think> thére"},
        {"role":"assistant","content":null,"tool_calls":[{"id":"call00001","type":"function","function":{"name":"f","arguments":{"a":1,"b":[1.5,"x"]}}}]},
        {"role":"tool","tool_call_id":"call00001","content":"ok"},{"role":"assistant","content":"done"},{"role":"user","content":"more"}])";
constexpr const char* kTools =
    R"([{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":["array","null"],"items":{"type":"number"}}},"required":["a"]}}}])";

std::vector<std::string> sources() {
    std::vector<std::string> list = {kOwn};
    if (!have_shared("chat-templates/templates", "published templates to damage")) return list;
    for (const auto& entry : fs::directory_iterator(*shared_dir() / "chat-templates/templates")) {
        std::ifstream stream(entry.path(), std::ios::binary);
        std::ostringstream text;
        text << stream.rdbuf();
        list.push_back(text.str());
    }
    std::sort(list.begin(), list.end());
    return list;
}

ChatConversation conversation() {
    ChatConversation chat;
    chat.messages = jinja_from_json(kMessages);
    chat.tools = jinja_from_json(kTools);
    chat.date = JinjaDate{2026, 1, 2};
    return chat;
}

std::string mutate(std::string text, std::mt19937& random) {
    static const std::vector<std::string> pieces{"{{",
                                                 "}}",
                                                 "{%",
                                                 "%}",
                                                 "{#",
                                                 "#}",
                                                 "-%}",
                                                 "{%- ",
                                                 "(",
                                                 ")",
                                                 "[",
                                                 "]",
                                                 "|",
                                                 ".",
                                                 ":",
                                                 ",",
                                                 "'",
                                                 "\"",
                                                 "\\",
                                                 "\\u12",
                                                 " ~ ",
                                                 " + ",
                                                 " * ",
                                                 "**",
                                                 "//",
                                                 "%",
                                                 " in ",
                                                 " is ",
                                                 " not ",
                                                 " if ",
                                                 " else ",
                                                 " and ",
                                                 "{% for x in messages %}",
                                                 "{% endfor %}",
                                                 "{% if ",
                                                 "{% endif %}",
                                                 "{% set ns.x = ns %}",
                                                 "{% set x = [x, x] %}",
                                                 "{% macro m(x) %}",
                                                 "{% endmacro %}",
                                                 "{{ m(m) }}",
                                                 " | tojson",
                                                 " | list",
                                                 " | join",
                                                 " | length",
                                                 " | sort",
                                                 "messages",
                                                 "loop",
                                                 "none",
                                                 "range(99999)",
                                                 "999999999",
                                                 "-1",
                                                 "9223372036854775807",
                                                 "1e308",
                                                 "[::-1]",
                                                 "[:1]",
                                                 "{}",
                                                 "()",
                                                 "\xff",
                                                 "\xc3",
                                                 "\xe2\x80\xa8",
                                                 std::string(1, '\0'),
                                                 "{% break %}",
                                                 "{% raw %}",
                                                 "caller()",
                                                 ".items()",
                                                 "strftime_now('%Y')",
                                                 "* 'a'",
                                                 "undefined_thing"};
    const int edits = 1 + static_cast<int>(random() % 5);
    for (int i = 0; i < edits && !text.empty(); ++i) {
        const std::size_t place = random() % text.size();
        switch (random() % 6) {
            case 0:
                text.erase(place, 1 + random() % 12);
                break;
            case 1:
            case 2:
                text.insert(place, pieces[random() % pieces.size()]);
                break;
            case 3:
                text[place] = static_cast<char>(random());
                break;
            case 4:
                text.insert(place, text.substr(random() % text.size(), random() % 60));
                break;
            default:
                text.erase(place, text.substr(place).find('}'));
                break;
        }
    }
    return text;
}

// What became of a template: 0 no template, 1 refused, 2 rendered.
int outcome_of(const std::string& source, const ChatConversation& chat, std::string& text) {
    try {
        const ChatTemplate parsed = parse_chat_template(source, {});
        const auto outcome = render_chat(parsed, {}, chat);
        if (const auto* failure = std::get_if<ChatFailure>(&outcome)) {
            text = describe(*failure);
            return 1;
        }
        text = std::get<std::string>(outcome);
        return 2;
    } catch (const Error& error) {
        text = error.what();
        return 0;
    }
}

// $ARGOSY_MUTATIONS rounds, else enough for a test.
int rounds() {
    const char* wanted = std::getenv("ARGOSY_MUTATIONS");
    return wanted ? std::atoi(wanted) : 1200;
}

}  // namespace

TEST_CASE("damaged templates give a text or a sentence") {
    std::mt19937 random(23);
    const std::vector<std::string> seeds = sources();
    const ChatConversation chat = conversation();
    int counts[3] = {};
    for (int round = 0; round < rounds(); ++round) {
        const std::string source = mutate(seeds[random() % seeds.size()], random);
        std::string text, again;
        const int outcome = outcome_of(source, chat, text);
        ++counts[outcome];
        REQUIRE(is_valid_utf8(text));
        if (outcome < 2) REQUIRE(!text.empty());
        if (round % 16 == 0) {
            REQUIRE(outcome_of(source, chat, again) == outcome);
            REQUIRE(again == text);
        }
    }
    for (const int count : counts) CHECK(count > rounds() / 50);
}

TEST_CASE("hostile templates end with a sentence, soon") {
    const ChatConversation chat = conversation();
    const auto repeated = [](const std::string& part, int times) {
        std::string text;
        for (int i = 0; i < times; ++i) text += part;
        return text;
    };
    const std::vector<std::pair<std::string, std::string>> hostile = {
        {"{% macro m(x) %}{{ m(x) }}{% endmacro %}{{ m(1) }}", "nested more than"},
        {"{% set ns = namespace(x='ab') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
         "more work"},
        {"{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
         "more work"},
        {"{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
         "more work"},
        {"{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ "
         "ns.x|tojson }}",
         "more work"},
        {"{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% set ns.y = "
         "[ns.y, ns.y] %}{% endfor %}{{ ns.x == ns.y }}",
         "more work"},
        {"{% set ns = namespace(x=[]) %}{% for i in range(9999) %}{% set ns.x = [ns.x] %}{% endfor %}",
         "nested more than"},
        {"{% set ns = namespace(x=1) %}{% for i in range(9999) %}{% for j in [ns] %}{% set ns.x = loop %}{% set ns.x = "
         "[ns.x] %}{% endfor %}{% endfor %}",
         ""},
        {"{% set ns = namespace(x={}) %}{% for i in range(9999) %}{% set ns.x = {'a': ns.x.get} %}{% endfor %}",
         "nested more than"},
        {"{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "more work"},
        {"{{ 'ab' * 9223372036854775807 }}", "more work"},
        {"{{ range(9223372036854775807) }}", "Range too big"},
        {"{{ 9223372036854775807 + 1 }}", "64 bits"},
        {"{{ (0 - 9223372036854775807 - 1) // -1 }}", "64 bits"},
        {"{{ (0 - 9223372036854775807 - 1) % -1 }}{{ 'abc'[9223372036854775807:] }}{{ 'abc'[::0 - 9223372036854775807 "
         "- 1] }}",
         ""},
        {"{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}", "printing a namespace"},
        {"{% set ns = namespace(m=1) %}{% for x in [1] %}{% macro m() %}{{ x }}{% endmacro %}{% set ns.m = m %}{% "
         "endfor %}{{ ns.m() }}",
         "after the block"},
        {"{{ [1, 2] | tojson(indent=1000) }}{{ messages | tojson(indent=99999) }}", "indents by more"},
        {"{{ " + repeated("(", 5000) + "1" + repeated(")", 5000) + " }}", "nested more than"},
        {"{{ " + repeated("not ", 5000) + "1 }}", "nested more than"},
        {"{{ " + repeated("-", 5000) + "1 }}", "nested more than"},
        {"{{ 1" + repeated(" + 1", 5000) + " }}", "nested more than"},
        {"{{ x" + repeated(".x", 5000) + " }}", "nested more than"},
        {repeated("{% if x %}", 5000), "nested more than"},
        {"{% set " + repeated("(", 5000) + "a" + repeated(")", 5000) + " = 1 %}", "nested more than"},
        {"{% include 'x' %}", "{% include %} is not supported"},
        {"a\nb\n{% extends 'x' %}", "line 3: the tag {% extends %} is not supported"},
        {"a\n\n{{ messages[0].content | truncate(3) }}", "line 3: the filter \"truncate\" is not supported"},
        {"{{ '%s' % 1 }}", "formatting a text with % is not supported"},
        {"{{ '{}'.format(1) }}", "\"format\" is not supported"},
        {"{{ messages.append(1) }}", "not allowed"},
    };
    for (const auto& [source, sentence] : hostile) {
        INFO(source.substr(0, 200));
        std::string text;
        const int outcome = outcome_of(source, chat, text);
        INFO(text.substr(0, 300));
        if (sentence.empty()) continue;
        CHECK(outcome < 2);
        CHECK(text.find(sentence) != text.npos);
    }
}

}  // namespace argosy::test
