#!/usr/bin/env bash
# Fuzzes every parser of what others wrote, and says how much of each parser's lines was reached.
#
#   fuzz.sh [SECONDS]      seconds per fuzzer, default 120; several run at once
#
# Exit status: 0 when nothing was found and at least 80 % of each parser's lines were reached. Findings stay in
# build/fuzz/findings and end a fuzzer: run build/fuzz/tests/fuzz/fuzz_NAME FILE to see one again.
set -euo pipefail
cd "$(dirname -- "${BASH_SOURCE[0]}")/../.."
seconds=${1:-120}
case $seconds in
    '' | *[!0-9]*) echo "fuzz: '$seconds' is no number of seconds" >&2; exit 64 ;;
esac
least=80

# NAME: the files whose lines count
declare -A sources=(
    [safetensors]="runtime/model/safetensors.cpp"
    [model_config]="runtime/model/families.cpp runtime/model/decoder_config.cpp runtime/model/json_file.cpp runtime/model/llama.cpp runtime/model/mixtral.cpp runtime/model/qwen3.cpp runtime/model/qwen3_moe.cpp runtime/model/olmoe.cpp runtime/model/gpt_oss.cpp runtime/model/deepseek.cpp"
    [tokenizer]="runtime/text/tokenizer_json.cpp runtime/text/tokenizer_spec.cpp"
    [chat_template]="runtime/text/chat_template.cpp runtime/text/jinja_builtins.cpp runtime/text/jinja_eval.cpp runtime/text/jinja_expressions.cpp runtime/text/jinja_filters.cpp runtime/text/jinja_json.cpp runtime/text/jinja_lexer.cpp runtime/text/jinja_list_filters.cpp runtime/text/jinja_methods.cpp runtime/text/jinja_operators.cpp runtime/text/jinja_parser.cpp runtime/text/jinja_strings.cpp runtime/text/jinja_tests.cpp runtime/text/jinja_value.cpp runtime/text/jinja_values_eval.cpp"
    [request_line]="runtime/job/request_file.cpp runtime/job/request_settings.cpp runtime/job/line_json.cpp"
    [settings_file]="launch/option_reading.cpp launch/sizes.cpp"
    [manifest]="runtime/job/manifest.cpp"
)
names=(safetensors model_config tokenizer chat_template request_line settings_file manifest)

launch/scripts/setup.sh --fuzz
cmake --preset fuzz >/dev/null
targets=()
for name in "${names[@]}"; do targets+=("fuzz_$name"); done
cmake --build --preset fuzz -j "$(nproc)" --target "${targets[@]}"

build=$PWD/build/fuzz
mkdir -p "$build/findings" "$build/corpus"
rm -rf "$build/seeds" "$build/profiles"
mkdir -p "$build/profiles"
manifest=()
if [ -s tests/fuzz/manifest.jsonl ]; then manifest=(tests/fuzz/manifest.jsonl); fi
python3 tests/fuzz/make_seeds.py "$build/seeds" "${manifest[@]}"

fuzz_one() {
    local name=$1
    local program=$build/tests/fuzz/fuzz_$name
    mkdir -p "$build/corpus/$name" "$build/findings/$name"
    LLVM_PROFILE_FILE=$build/profiles/$name.profraw "$program" -max_total_time="$seconds" -max_len=20000 -timeout=10 \
        -rss_limit_mb=2048 -dict="$build/seeds/$name.dict" -artifact_prefix="$build/findings/$name/" -print_final_stats=1 \
        "$build/corpus/$name" "$build/seeds/$name" >"$build/$name.log" 2>&1
}
export -f fuzz_one
export build seconds
jobs=$(((3 * $(nproc) + 1) / 2))  # a fuzzer is to run for so many seconds, not to have a core to itself
status=0
printf '%s\n' "${names[@]}" | xargs -P "$jobs" -I{} bash -c 'fuzz_one {} || { echo "fuzz: {} found something, or failed:"; tail -30 "$build/{}.log"; exit 1; }' ||
    status=1

version=$(sed -n 's/^CMAKE_CXX_COMPILER:[A-Z]*=.*clang++\(-[0-9]*\)\?$/\1/p' "$build/CMakeCache.txt")
for name in "${names[@]}"; do
    program=$build/tests/fuzz/fuzz_$name
    [ -s "$build/profiles/$name.profraw" ] || continue
    "llvm-profdata$version" merge -sparse "$build/profiles/$name.profraw" -o "$build/profiles/$name.profdata"
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$build/$name.log")
    # Column 8 and 9 of the table's last line: lines, and those not reached.
    # shellcheck disable=SC2086  # the list of files
    "llvm-cov$version" report "$program" -instr-profile="$build/profiles/$name.profdata" ${sources[$name]} |
        awk -v name="$name" -v runs="${runs:-0}" -v least=$least '$1 == "TOTAL" {
            reached = 100 * ($8 - $9) / $8
            printf "%-14s %10d runs   %5.1f %% of %d lines reached\n", name, runs, reached, $8
            if (reached < least) { printf "fuzz: %s: less than %d %% of the lines\n", name, least; exit 1 } }' || status=1
done
exit $status
