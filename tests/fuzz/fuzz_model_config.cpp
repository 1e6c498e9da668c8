// Fuzzes config.json and generation_config.json.
#include "runtime/model/families.hpp"
#include "tests/fuzz/fuzz_input.hpp"

using namespace argosy;

// The two files' texts stand one after the other, a zero byte between them.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = fuzz::text_of(data, size);
    const std::size_t cut = text.find('\0');
    ConfigText config{.config_path = "model/config.json",
                      .config = std::string(text.substr(0, cut)),
                      .generation_path = "model/generation_config.json",
                      .generation = std::string(cut == text.npos ? std::string_view{} : text.substr(cut + 1))};
    fuzz::answers_or_refuses([&] {
        const ModelPlan plan = plan_model(config);
        describe(plan);
    });
    return 0;
}
