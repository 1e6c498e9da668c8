"""Writes tokenizer_cases.jsonl: small tokenizer.json documents, one per kind of step or flag, with the ids and texts that the
Python package `tokenizers` gives for them. Run it by hand after adding a case: python3 make_tokenizer_cases.py > tokenizer_cases.jsonl"""
import json

from tokenizers import Tokenizer

BYTES = (list(range(0x21, 0x7F)) + list(range(0xA1, 0xAD)) + list(range(0xAE, 0x100)))
ALPHABET = {b: chr(b) for b in BYTES}
for number, byte in enumerate(b for b in range(256) if b not in BYTES):
    ALPHABET[byte] = chr(256 + number)

MERGES = ["h e", "l l", "he ll", "hell o", "w o", "r l", "wo rl", "worl d", "1 2", "12 3", "a b", "ab c", "b c", "! !", "e l"]
SPACED = ["hello Ġ", "Ġ hello", "Ġ w", "Ġ Ġ", "Ġw o", "Ã ©"]
META = ["▁ hello", "▁ worl", "▁ ▁", "▁▁ ▁▁"]

TEXTS = ["", " ", "hello", " hello", "hello world", "hello  world ", "  hello   world", "abc abcabc 123 12 1234", "a1b22!!!c?x",
         "héllo wörld", "e\u0301 \u00e9", "日本語", "hello\n\nworld\r\n", "<s>hello</s>", "hello <m> world", "xx<m>yy <m>", "<m><m>  <m>",
         "ab<w>cd <w> e<w>", "<w>", "é<w>é", "hello Hello HELLO", "😀 ok", "▁hello ▁", "\t hello", "tag TAG tag", "a-b_c.d,e", "<0x41>A",
         "½²Ⅷ٣ 12", "he'll can't I'm", "\u2003hello\u00a0<m>\u3000x", "he\u0302\u0301  \u1ebfx", "<w>x <w>! <w>\u00e9"]


def model(byte_level, extra_merges=(), drop=(), pairs=False, **options):
    merges = [m for m in MERGES + list(extra_merges)]
    vocab = ["<unk>", "<s>", "</s>"]
    vocab += [ALPHABET[b] for b in range(256)] if byte_level else list("abcdefghijklmnopqrstuvwxyzHELO123!▁é,.?'<>/ ") + ["日"]
    vocab += [m.replace(" ", "") for m in merges]
    if options.get("byte_fallback"):
        vocab += ["<0x%02X>" % b for b in range(256) if b not in drop]
    vocab = list(dict.fromkeys(vocab))
    merges = [m.split(" ") for m in merges] if pairs else merges
    base = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
            "fuse_unk": False, "byte_fallback": False, "ignore_merges": False}
    return {**base, **options, "vocab": {t: i for i, t in enumerate(vocab)}, "merges": merges}


def added(identity, content, **flags):
    base = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"id": identity, "content": content, **base, **flags}


def document(model, added_tokens=(), normalizer=None, pre_tokenizer=None, post_processor=None, decoder=None):
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": list(added_tokens), "normalizer": normalizer,
            "pre_tokenizer": pre_tokenizer, "post_processor": post_processor, "decoder": decoder, "model": model}


def byte_level(prefix=False, regex=True):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": regex}


def sequence(name, *parts):
    return {"type": "Sequence", name: list(parts)}


def split(pattern, behavior, invert=False, regex=True):
    return {"type": "Split", "pattern": {"Regex" if regex else "String": pattern}, "behavior": behavior, "invert": invert}


def metaspace(scheme, split=True):
    return {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split}


def template(before, after):
    special = {n: {"id": n, "ids": [i], "tokens": [n]} for n, i in (("<s>", 1), ("</s>", 2))}
    one = [{"SpecialToken": {"id": n, "type_id": 0}} for n in before] + [{"Sequence": {"id": "A", "type_id": 0}}]
    one += [{"SpecialToken": {"id": n, "type_id": 0}} for n in after]
    return {"type": "TemplateProcessing", "single": one, "pair": one + [{"Sequence": {"id": "B", "type_id": 1}}], "special_tokens": special}


SPECIALS = [added(0, "<unk>"), added(1, "<s>"), added(2, "</s>")]
LLAMA_NORMALIZER = sequence("normalizers", {"type": "Prepend", "prepend": "▁"},
                            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"})
LLAMA_DECODER = sequence("decoders", {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
                         {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0})


def cases():
    bl = dict(pre_tokenizer=byte_level(), decoder=byte_level())
    yield "byte level", document(model(True, SPACED), SPECIALS, **bl)
    yield "byte level, merges as pairs", document(model(True, SPACED, pairs=True), SPECIALS, **bl)
    yield "byte level, prefix space", document(model(True, SPACED), SPECIALS, pre_tokenizer=byte_level(True), decoder=byte_level())
    yield "byte level, no regex", document(model(True, SPACED), SPECIALS, pre_tokenizer=byte_level(True, False), decoder=byte_level())
    yield "ignore merges", document(model(True, ["Ġ worl", "Ġworl d"], ignore_merges=True), SPECIALS, **bl)
    gap = model(True, SPACED, ignore_merges=True)
    gap["merges"] = [m for m in gap["merges"] if m not in ("hell o", "Ã ©")]
    yield "ignore merges, words that merges do not reach", document(gap, SPECIALS, **bl)
    yield "NFC", document(model(True, SPACED), SPECIALS, normalizer={"type": "NFC"}, **bl)
    for flags in ({"lstrip": True}, {"rstrip": True}, {"lstrip": True, "rstrip": True}, {"normalized": True}, {"special": False}):
        more = [added(700, "<m>", **flags), added(701, "<m><m>", **flags)]
        yield f"added token {sorted(flags)}", document(model(True, SPACED), SPECIALS + more, **bl)
    words = [added(700, "<w>", single_word=True), added(701, "tag", single_word=True, special=False), added(702, "Hello", special=False)]
    yield "added token single_word", document(model(True, SPACED), SPECIALS + words, **bl)
    yield "added token normalized with NFC and spaces", document(
        model(True, SPACED), SPECIALS + [added(700, "\u1ebf", normalized=True, special=False), added(701, "  ", normalized=True, special=False)],
        normalizer={"type": "NFC"}, **bl)
    yield "digits one by one", document(model(True, SPACED), SPECIALS, pre_tokenizer=sequence(
        "pretokenizers", {"type": "Digits", "individual_digits": True}, byte_level()), decoder=byte_level())
    yield "digits in runs", document(model(True, SPACED), SPECIALS, pre_tokenizer=sequence(
        "pretokenizers", {"type": "Digits", "individual_digits": False}, byte_level(False, False)), decoder=byte_level())
    for behavior in ("Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        for invert in (False, True):
            for pattern, regex in (("[0-9!]", True), ("ab", False), (r"\s?\w+|\d*", True), (r"\s+$|\W", True)):
                steps = sequence("pretokenizers", split(pattern, behavior, invert, regex), byte_level(False, False))
                yield f"split {pattern} {behavior} {invert}", document(model(True, SPACED), SPECIALS, pre_tokenizer=steps, decoder=byte_level())
        yield f"punctuation {behavior}", document(model(True, SPACED), SPECIALS, pre_tokenizer=sequence(
            "pretokenizers", {"type": "Punctuation", "behavior": behavior}, byte_level(False, False)), decoder=byte_level())
    llama = dict(unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    yield "byte fallback", document(model(False, META, **llama), SPECIALS, LLAMA_NORMALIZER, None, template(["<s>"], []), LLAMA_DECODER)
    yield "byte fallback, a merge across words", document(model(False, META + ["o ▁hello", "d ▁"], **llama), SPECIALS, LLAMA_NORMALIZER, None,
                                                          template(["<s>"], ["</s>"]), LLAMA_DECODER)
    yield "byte fallback with holes", document(model(False, META, drop=(0xE6, 0xC3, 0x0A), **llama), SPECIALS, LLAMA_NORMALIZER, None, None,
                                               LLAMA_DECODER)
    for fuse in (False, True):
        yield f"unk, fuse {fuse}", document(model(False, META, unk_token="<unk>", fuse_unk=fuse), SPECIALS, LLAMA_NORMALIZER, None, None,
                                            LLAMA_DECODER)
    yield "no unk", document(model(False, META), SPECIALS, LLAMA_NORMALIZER, None, None, None)
    for scheme in ("always", "first", "never"):
        for cut in (False, True):
            yield f"metaspace {scheme} {cut}", document(model(False, META, **llama), SPECIALS, None, metaspace(scheme, cut), template(["<s>"], []),
                                                        metaspace(scheme, cut))
    yield "strip at both ends of tokens", document(model(False, META, **llama), SPECIALS, LLAMA_NORMALIZER, None, None, sequence(
        "decoders", {"type": "Strip", "content": "l", "start": 0, "stop": 1}, {"type": "Strip", "content": "▁", "start": 1, "stop": 0}))
    yield "replace by regex", document(model(False, META, **llama), SPECIALS, sequence(
        "normalizers", {"type": "Replace", "pattern": {"Regex": "[aeiou]+"}, "content": "o"},
        {"type": "Replace", "pattern": {"String": "ll"}, "content": "▁l"}), metaspace("never"), None, sequence(
            "decoders", {"type": "Replace", "pattern": {"Regex": "[▁l]"}, "content": "<>"}, {"type": "ByteFallback"}))
    nested = sequence("processors", byte_level(), sequence("processors", template(["</s>", "<s>"], ["</s>"])))
    yield "nested post-processors", document(model(True, SPACED), SPECIALS, post_processor=nested, **bl)


def main():
    models, lines = [], []
    for name, tokenizer in cases():
        known = max(tokenizer["model"]["vocab"].values()) + 1
        for number, token in enumerate(t for t in tokenizer["added_tokens"] if t["id"] >= 700):
            token["id"] = known + number
        library = Tokenizer.from_str(json.dumps(tokenizer))
        results = []  # of each text: [add_special, ids, decoded, decoded without special tokens]
        for text in TEXTS:
            special = tokenizer["post_processor"] is not None
            ids = library.encode(text, add_special_tokens=special).ids
            results.append([special, ids, library.decode(ids, skip_special_tokens=False), library.decode(ids, skip_special_tokens=True)])
        if tokenizer["model"] not in models:
            models.append(tokenizer["model"])
        tokenizer["model"] = models.index(tokenizer["model"])
        lines.append({"name": name, "tokenizer": tokenizer, "results": results})
    for line in [{"texts": TEXTS, "models": models}] + lines:  # a case names its model by number
        print(json.dumps(line, ensure_ascii=False, separators=(",", ":")))


main()
