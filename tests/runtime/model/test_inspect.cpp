// What inspect prints, and the layouts it prints for.
#include <catch2/catch.hpp>

#include "runtime/model/inspect.hpp"
#include "tests/runtime/model/model_samples.hpp"

using namespace argosy;

TEST_CASE("the whole text for a small mixture on two ranks") {
    test::ConfigKeys keys = test::sample_config("qwen3_moe");
    keys["torch_dtype"] = "\"float32\"";
    const std::string want = R"(family                qwen3_moe
parameters            149,844 (150 k)
active per token      118,164 (118 k): all but the experts that are not chosen
layers                3 (2 mixture, 1 dense)
hidden                60
attention             6 heads, 3 KV heads, head size 14, q/k norm per head
experts               7 per layer, 3 per token, intermediate 22, softmax, renormalised
dense feed-forward    intermediate 43
rope                  theta 10000
vocabulary            333
positions             512
KV per token, bf16    504 bytes (504 B)
KV per token, f32     1,008 bytes (1008 B)
KV per token, int8    324 bytes (324 B)
weights per rank, in f32, on 2 ranks: dp 1, tp 2, ep 2, etp 1
                         least bytes            most bytes
  attention                  100,800               100,800     98.44 KiB
  experts                     95,040               126,720    123.75 KiB
  dense                       15,120                15,840     15.47 KiB
  embedding                   79,920                79,920     78.05 KiB
  head                        38,400                41,520     40.55 KiB
  norms                        2,016                 2,016      1.97 KiB
  router                       3,360                 3,360      3.28 KiB
  total                      334,656               370,176    361.50 KiB
)";
    CHECK(inspect_text(test::plan_of(keys), {1, 2, 0, 1}) == want);
}

TEST_CASE("layouts: experts over the whole stage by default, sliced where etp says so, never for dense models") {
    const ModelPlan moe = test::plan_of(test::sample_config("mixtral"));
    const ModelPlan dense = test::plan_of(test::sample_config("llama"));
    const std::vector<LayoutShare> shares = layout_shares(moe, {2, 2, 0, 2});
    REQUIRE(shares.size() == 4);
    CHECK(shares[2] == LayoutShare{0, 2, 1, 2, 0, 2});
    CHECK(shares[3] == LayoutShare{1, 2, 1, 2, 1, 2});
    CHECK(layout_shares(moe, {3, 1, 0, 1})[2] == LayoutShare{0, 1, 2, 3, 0, 1});
    CHECK(layout_shares(dense, {2, 2, 0, 1})[3] == LayoutShare{1, 2, 0, 1, 0, 1});
    CHECK_THAT(test::sentence_of([&] {
                   layout_shares(moe, {2, 2, 3, 1});
               }),
               Catch::Contains("ep 3 times etp 1 is 3; it must be dp times tp"));
    CHECK_THAT(test::sentence_of([&] {
                   layout_shares(moe, {1, 1, 0, 2});
               }),
               Catch::Contains("it must be dp times tp, which is 1"));
    CHECK_THAT(test::sentence_of([&] {
                   layout_shares(dense, {1, 2, 2, 1});
               }),
               Catch::Contains("this model has none; use tp"));
    CHECK_THAT(test::sentence_of([&] { layout_shares(moe, {0, 1, 0, 1}); }), Catch::Contains("each is at least 1"));
    CHECK_THAT(test::sentence_of([&] {
                   inspect_text(moe, {1, 3, 0, 1});
               }),
               Catch::Contains("tp is 3; it must be 1, 2, 4 or 8"));
}
