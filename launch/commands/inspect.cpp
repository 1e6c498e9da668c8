// argosy inspect: looks into a model.
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "kernels/base/error.hpp"
#include "launch/commands/commands.hpp"
#include "launch/install_paths.hpp"
#include "launch/options.hpp"
#include "runtime/job/chat_request.hpp"
#include "runtime/job/input_index.hpp"
#include "runtime/job/request_file.hpp"
#include "runtime/model/checkpoint.hpp"
#include "runtime/model/families.hpp"
#include "runtime/model/inspect.hpp"
#include "runtime/text/tokenizer.hpp"

namespace argosy {

namespace fs = std::filesystem;

namespace {

bool has_checkpoint(const fs::path& folder) {
    return fs::exists(folder / "model.safetensors") || fs::exists(folder / "model.safetensors.index.json");
}

void print_tokens(const fs::path& folder, const std::string& file) {
    const Tokenizer tokenizer = load_tokenizer(folder / "tokenizer.json");
    std::ifstream stream(file);
    if (!stream) fail(ErrorKind::usage, "The file {} cannot be read. Check --tokenize.", file);
    EncodeScratch scratch;
    std::vector<std::int32_t> ids;
    for (std::string line; std::getline(stream, line);) {
        ids.clear();
        encode(tokenizer, scratch, line, true, ids);
        for (std::size_t i = 0; i < ids.size(); ++i) std::printf("%s%d", i == 0 ? "" : " ", ids[i]);
        std::printf("\n");
    }
}

// Every request line of `file`: a head with its number and name, then its prompt as the tokenizer would get it, or why
// there is none.
void print_prompts(const fs::path& model, const std::string& file) {
    const fs::path folder = fs::is_directory(model) ? model : model.parent_path();
    const ChatContext chat{load_chat_templates(folder)};
    const InputIndex index({file}, fs::temp_directory_path());
    for (std::int64_t line = 1; line <= index.line_count(); ++line) {
        const InputLine text = index.read_line(line);
        if (text.too_long || is_blank(text.text)) continue;
        const auto outcome = parse_request_line(text.text, line, InputFormat::jsonl, {}, &chat);
        if (const auto* error = std::get_if<LineError>(&outcome)) {
            std::printf("--- line %lld %s: %s: %s\n", static_cast<long long>(line), error->id.c_str(),
                        error->code.c_str(), error->sentence.c_str());
            continue;
        }
        const ParsedRequest& parsed = std::get<ParsedRequest>(outcome);
        std::printf("--- line %lld %s\n", static_cast<long long>(line), parsed.request.id.c_str());
        if (parsed.text) std::fwrite(parsed.text->data(), 1, parsed.text->size(), stdout);
        for (const std::int32_t id : parsed.request.prompt) std::printf("%d ", id);
        std::printf("\n");
    }
}

}  // namespace

int inspect_command(const std::vector<std::string>& arguments) {
    const InspectArguments options = parse_inspect_options(arguments);
    if (options.help) {
        std::fputs(inspect_help().c_str(), stdout);
        return 0;
    }
    const fs::path model = options.model.empty() ? demo_dir() : options.model;
    if (!options.tokenize.empty()) {
        for (const std::string& file : options.tokenize) print_tokens(model, file);
        return 0;
    }
    if (!options.render.empty()) {
        for (const std::string& file : options.render) print_prompts(model, file);
        return 0;
    }
    const ModelPlan plan = plan_model(model);
    const InspectOptions layout{.dp = options.dp, .tp = options.tp, .ep = options.ep, .etp = options.etp};
    const std::string text =
        fs::is_directory(model) && has_checkpoint(model)
            ? inspect_text(plan, match_tensors(tensor_list(plan), open_checkpoint(model), spare_tensors(plan)), layout)
            : inspect_text(plan, layout);
    std::fputs(text.c_str(), stdout);
    return 0;
}

}  // namespace argosy
