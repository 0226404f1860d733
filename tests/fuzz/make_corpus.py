#!/usr/bin/env python3
"""Writes the corpora of the fuzz targets: make_corpus.py, into corpus/ beside it.

A file whose name begins with `valid` is taken by its parser, every other one is refused. Inputs
that a fuzzer found stand here too, under the name of what they did.
"""

import json
import pathlib
import struct


def main():
    corpora = {
        "safetensors": safetensors(),
        "config": config(),
        "tokenizer": tokenizer(),
        "link_to_server": link_to_server(),
        "link_to_trainer": link_to_trainer(),
    }
    for target, inputs in corpora.items():
        folder = pathlib.Path(__file__).parent / "corpus" / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in inputs.items():
            content = content if isinstance(content, bytes) else content.encode()
            assert len(content) < 4096, name
            (folder / name).write_bytes(content)


# ---- safetensors ----

def safetensors():
    def file(header, data_bytes=0):
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + bytes(data_bytes)

    def entry(dtype, shape, begin, end):
        return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}

    pair = {"a": entry("F32", [2, 3], 0, 24), "b": entry("BF16", [4], 24, 32),
            "__metadata__": {"format": "pt"}}
    return {
        "valid_pair": file(pair, 32),
        "valid_empty": file({}),
        "valid_scalar_and_empty_tensor": file(
            {"s": entry("F16", [], 0, 2), "e": entry("F32", [0, 5], 2, 2)}, 2),
        "valid_eight_dimensions": file({"a": entry("F32", [1] * 8, 0, 4)}, 4),
        "no_length": b"\x01\x02",
        "length_beyond_file": struct.pack("<Q", 1 << 40) + b"{}",
        "length_all_ones": b"\xff" * 8 + b"{}",
        "hole": file({"a": entry("F32", [1], 4, 8)}, 8),
        "overlap": file({"a": entry("F32", [2], 0, 8), "b": entry("F32", [2], 4, 12)}, 12),
        "product_overflows": file({"a": entry("F32", [1 << 40, 1 << 40], 0, 4)}, 4),
        "bytes_overflow": file({"a": entry("F32", [1 << 62], 0, 0)}),
        "negative_offset": file({"a": entry("F32", [1], -4, 0)}, 4),
        "offset_above_int64": file(b'{"a":{"dtype":"F32","shape":[1],'
                                   b'"data_offsets":[0,18446744073709551615]}}', 4),
        "deep": file(b'{"a":' + b"[" * 100 + b"]" * 100 + b"}"),
        "key_twice": file(b'{"a":{},"a":{}}'),
        "other_dtype": file({"a": entry("F64", [1], 0, 8)}, 8),
        "bytes_left_over": file(pair, 33),
    }


# ---- config.json ----

def config():
    llama = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64,
        "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "vocab_size": 100, "max_position_embeddings": 256,
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu", "eos_token_id": 2}
    qwen3 = llama | {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3",
                     "head_dim": 16, "tie_word_embeddings": True}
    scaled = llama | {"rope_scaling": {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 128}}
    largest = llama | {
        "num_hidden_layers": 1 << 10, "hidden_size": 1 << 17, "intermediate_size": 1 << 20,
        "num_attention_heads": 1 << 10, "num_key_value_heads": 1 << 10, "head_dim": 1 << 10,
        "vocab_size": 1 << 22, "max_position_embeddings": 1 << 20}
    text = json.dumps
    return {
        "valid_llama": text(llama),
        "valid_qwen2": text(llama | {"architectures": ["Qwen2ForCausalLM"],
                                     "model_type": "qwen2"}),
        "valid_qwen3": text(qwen3),
        "valid_mistral": text(llama | {"architectures": ["MistralForCausalLM"],
                                       "model_type": "mistral", "sliding_window": None}),
        "valid_scaled_rope": text(scaled),
        "valid_largest": text(largest),
        "valid_with_generation_config": text(llama) + "\0" + text({"eos_token_id": [2, 3]}),
        "eos_outside_of_vocabulary": text(llama) + "\0" + text({"eos_token_id": 100}),
        "negative_hidden": text(llama | {"hidden_size": -64}),
        "huge_vocabulary": text(llama | {"vocab_size": (1 << 64) - 1}),
        "heads_do_not_divide": text(llama | {"num_key_value_heads": 3}),
        "head_dim_seven": text(llama | {"head_dim": 7}),
        "epsilon_not_finite": text(llama | {"rms_norm_eps": 1e308}),
        "other_architecture": text(llama | {"architectures": ["MambaForCausalLM"]}),
        "deep": "[" * 100 + "]" * 100,
        "half": text(llama)[:100],
        "bad_utf8": b'{"architectures": ["\xff\xfe"]}',
    }


# ---- tokenizer.json ----

def tokenizer():
    text = lambda value: json.dumps(value, ensure_ascii=False)
    added = {"id": 9, "content": "</s>", "single_word": False, "lstrip": True, "rstrip": False,
             "normalized": False, "special": True}
    words = {"vocab": {"h": 0, "e": 1, "l": 2, "o": 3, "he": 4, "ll": 5, "hell": 6, "▁": 7, "?": 8},
             "merges": ["h e", "l l", ["he", "ll"]], "unk_token": "?", "fuse_unk": True}
    plain = {"model": words}
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True}
    llama = {
        "added_tokens": [added],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "A", "type_id": 0}},
                       {"SpecialToken": {"id": "</s>", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}},
                     {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"</s>": {"id": "</s>", "ids": [9], "tokens": ["</s>"]}}},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": words | {"byte_fallback": True}}
    split = {
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "behavior": "Isolated", "invert": False,
             "pattern": {"Regex": r"(?i:'s|'t)|\p{L}+|\p{N}{1,3}|\s+(?!\S)|\s+"}},
            {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}]},
        "decoder": {"type": "ByteLevel"},
        "model": words | {"ignore_merges": True}}
    def splitting(pattern):
        return text(plain | {"pre_tokenizer": {
            "type": "Split", "behavior": "Removed", "invert": True,
            "pattern": {"Regex": pattern}}})
    return {
        "valid_plain": text(plain),
        "valid_llama": text(llama) + "\0hello </s> hell o",
        "valid_split": text(split) + "\0hello's 1234  \u00e9\U0001f999\n",
        "valid_metaspace": text(plain | {"pre_tokenizer": metaspace, "decoder": metaspace}),
        "valid_but_text_is_no_utf8": text(plain).encode() + b"\0\xff\xc3",
        "valid_regex_that_backtracks": splitting("(a+)+$") + "\0" + "a" * 200 + "b",
        "valid_empty_matches": splitting("x*") + "\0hexllo",
        "regex_malformed": splitting("(((("),
        "regex_too_nested": splitting("(" * 300 + ")" * 300),
        "id_far_away": text({"model": {"vocab": {"a": 1 << 40}, "merges": []}}),
        "id_twice": text({"model": {"vocab": {"a": 0, "b": 0}, "merges": []}}),
        "merge_without_token": text({"model": words | {"merges": ["h o"]}}),
        "merge_of_three": text({"model": words | {"merges": [["h", "e", "l"]]}}),
        "added_without_content": text(plain | {"added_tokens": [added | {"content": ""}]}),
        "word_piece": text({"model": words | {"type": "WordPiece"}}),
        "deep": '{"model":' * 100 + "1" + "}" * 100,
        "half": text(llama)[:300],
    }


# ---- the link's messages, in protobuf's wire format ----

def varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def message(**fields):
    """Of a message, by field number (f3=...): an int, bytes, a str, or a list of these."""
    out = b""
    for name, values in fields.items():
        number = int(name[1:])
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, float):
                out += varint(number << 3 | 1) + struct.pack("<d", value)
            elif isinstance(value, int):
                out += varint(number << 3) + varint(value)
            else:
                value = value.encode() if isinstance(value, str) else value
                out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


MAX = (1 << 63) - 1


def link_to_server():
    def session(*messages):
        return b"".join(varint(len(m)) + m for m in messages)

    def passes(feedback_id, count, done=0, quarantined=0):
        return message(f1=feedback_id, f2=count, f3=done, f4=quarantined)

    hello = message(f3=b"")
    goodbye = message(f8=b"")
    def ask(feedback, replay=0, records=1):
        return message(f9=message(f1=feedback, f2=replay, f3=records))
    def release(lease, first, layers):
        return message(f4=message(f1=lease, f2=first, f3=layers))
    def publish(directory, parent=0, digest="0" * 64, **more):
        return message(f5=message(f1=1, f2=directory, f3=parent, f4=digest, f5=1, **more))
    def progress(step, *counts, tokens=0, loss=1.0, reused=()):
        run = message(**{f"f{i}": tokens for i in range(1, 10)})
        return message(f6=message(f1=step, f2=list(counts), f3=run, f4=loss, f5=loss,
                                  f6=list(reused)))
    return {
        "valid_hello": session(hello),
        "valid_hello_with_checkpoint": session(
            message(f3=message(f2="1", f4=0, f6=[passes("a", 3), passes("b", 40, 1)], f8=7,
                               f9="ab" * 32))),
        "valid_items_and_release": session(hello, ask(8), release(1, 0, 2), release(1, 1, 1)),
        "valid_replay": session(hello, ask(0, 256), ask(0, MAX, 0)),
        "valid_progress": session(hello, progress(1, passes("a", 1), tokens=5, reused=["a"]),
                                  progress(2, passes("a", 2, 1), passes("unknown", 1))),
        "valid_publish_of_nothing": session(hello, publish("none")),
        "valid_publish_outside": session(hello, publish("../../../etc"), publish("/etc"),
                                         publish("a\0b"), publish("")),
        "valid_numbers_at_their_ends": session(
            hello, ask(-1, -1), ask(MAX, 1), release(-1, -1, -1), release(1, MAX, MAX),
            publish("x", parent=-1), progress(0, passes("a", MAX)),
            progress(MAX, passes("a", -1))),
        "valid_revoke_ack": session(hello, message(f7=message(f1=1, f2=0, f3=1))),
        # Sums of these overflowed.
        "progress_of_too_many_tokens": session(hello, *[progress(1, tokens=MAX)] * 2),
        "progress_of_negative_tokens": session(hello, progress(1, tokens=-1)),
        "progress_of_a_negative_step": session(hello, progress(-1)),
        "nothing": b"",
        "no_hello": session(ask(1)),
        "hello_twice": session(hello, hello),
        "valid_goodbye": session(hello, goodbye),
        "empty_message": session(hello, b""),
        "sequence_with_a_hole": session(hello, message(f2=9, f8=b"")),
        "wrong_secret": session(message(f3=message(f1=b"x" * 16))),
        "wrong_epoch": session(message(f1=message(f1=99, f2=99), f3=b"")),
        "id_is_no_utf8": session(message(f3=message(f6=message(f1=b"\xff", f2=1)))),
        "length_beyond_end": varint(1 << 30) + hello,
    }


PAGE = 4096


def tensor(number, page_index, size, rows=5, **changed):
    fields = {"f1": number, "f2": 1, "f3": page_index * PAGE, "f4": size, "f5": 2,
              "f6": 5 - rows, "f7": rows}
    return message(**fields | changed)


# The first lease of the target's store. Every tensor has a page of its own; of the last layer
# and the final norm only the head row is there.
BYTES = [320, 320, 40, 160, 320, 320]  # Of tensors 1 to 6.
LAYERS = [
    [tensor(i + 1, 5 + i, size) for i, size in enumerate(BYTES)],
    [tensor(0, 11, 160)] + [tensor(i + 1, 12 + i, size // 5, rows=1)
                            for i, size in enumerate(BYTES)],
    [tensor(0, 18, 32, rows=1)],
]


def layer_refs(of=None):
    return [message(f1=i, f2=tensors) for i, tensors in enumerate(of or LAYERS)]


def run(first=0, rows=5, refs=None):
    return message(f1=first, f2=rows, f3=layer_refs() if refs is None else refs)


def kv(layer, first=0, rows=5, **changed):
    fields = {"f1": layer, "f2": first, "f3": rows, "f4": (3 + layer) * PAGE, "f5": 2048,
              "f6": 1, "f7": 1}
    return message(**fields | changed)


def record(tokens=5, runs=None, pages=None):
    return message(f1=1, f2=1, f3=b"", f4=tokens, f5=[run()] if runs is None else runs,
                   f6=[kv(0), kv(1)] if pages is None else pages)


def link_to_trainer():
    def item(with_record=None, **changed):
        fields = {"f1": 1, "f2": "fb-1", "f3": "cmpl-1",
                  "f4": message(f1="base", f2="tokenizer"),
                  "f5": message(f1="default", f2=0, f3="digest"),
                  "f7": bytes([1, 2, 3, 4, 5]), "f8": bytes([7, 8, 9]), "f13": 1}
        if with_record is not None:
            fields["f11"] = with_record
        return message(**fields | changed)

    def sent(content):
        return message(f1=message(f1=1, f2=1), f2=1, f4=content)

    def with_record(**parts):
        return sent(item(record(**parts)))

    def with_tensor(**changed):
        return with_record(runs=[run(refs=layer_refs([[tensor(1, 5, 320, **changed)]
                                                      + LAYERS[0][1:]] + LAYERS[1:]))])

    return {
        "valid_item": sent(item()),
        "valid_record": with_record(),
        "valid_replay": message(f10=message(f1=[item(f1=2), item(record(), f1=2)])),
        "valid_empty_replay": message(f10=b""),
        "no_item": message(f3=b""),
        "token_outside_of_vocabulary": sent(item(f7=bytes([1, 32]))),
        "negative_token": sent(item(f8=varint(-1))),
        "other_base": sent(item(f4=message(f1="other", f2="tokenizer"))),
        "longer_than_context": sent(item(f7=bytes([1]) * 70)),
        "offset_at_end_of_arena": with_tensor(f3=64 * PAGE),
        "offset_near_uint64_max": with_tensor(f3=-32),
        "bytes_wrap_around": with_tensor(f3=5 * PAGE, f4=-1),
        "other_generation": with_tensor(f5=3),
        "odd_offset": with_tensor(f3=5 * PAGE + 1),
        "rows_at_int64_max": with_tensor(f7=MAX),
        "not_on_device": with_tensor(f2=2),
        "run_of_max_rows": with_record(tokens=MAX, runs=[run(rows=MAX)]),
        "layer_out_of_bounds": with_record(runs=[run(refs=[message(f1=MAX), message(f1=-1)])]),
        "runs_overlap": with_record(runs=[run(), run(first=3)]),
        "page_of_negative_layer": with_record(pages=[kv(-1), kv(0), kv(1)]),
        "page_at_min_position": with_record(pages=[kv(0, first=-1 << 63), kv(1)]),
        "page_of_negative_rows": with_record(pages=[kv(0, rows=-5), kv(1)]),
        "page_missing": with_record(pages=[kv(0)]),
        "half": with_record()[:200],
    }


if __name__ == "__main__":
    main()
