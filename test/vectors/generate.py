"""Writes the vectors beside this file with python-tuf and securesystemslib, the reference implementation.

    python3 -m venv v && v/bin/pip install tuf 'securesystemslib[crypto]' && v/bin/python generate.py

Nothing here comes from this project's own code: the vectors say what others sign, name and match. RSA keys and the
signatures of ECDSA and RSA-PSS differ in each run.
"""

import hashlib
import json
import pathlib
from datetime import datetime, timezone

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from securesystemslib.formats import encode_canonical
from securesystemslib.signer import CryptoSigner, SSlibKey
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    SuccinctRoles,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization.json import JSONSerializer

HERE = pathlib.Path(__file__).parent
EXPIRES = datetime(2035, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


def write(name, value):
    (HERE / f"{name}.json").write_text(json.dumps(value, indent=1, ensure_ascii=True) + "\n")


def canonical():
    values = [
        {}, [], "", 0, -1, 9007199254740991, True, False, None,
        "quote \" backslash \\ slash /",
        "line\nfeed\ttab\rreturn\bback\fform",
        "".join(chr(c) for c in range(0x20)),
        "\x7f\x80\x9f\u00a0\u2028\u2029\ufeff\uffff",
        "é e\u0301 日本語 😀",
        {"b": 1, "a": [1, 2, {"z": None, "y": True}], "": "empty key"},
        {"10": 1, "9": 2, "1": 3, "__proto__": {"constructor": 4}},
        {"foo": 1, "foo bar": 2, "foo!": 3, "foo\"": 4, "foo\\": 5},
        # UTF-16 order would put the second key first.
        {"\uffff": 1, "\U00010000": 2, "\ue000": 3, "a\U0001f600": 4, "a\ufb01": 5, "\U0001f600": 6, "\U0001f601": 7},
        {"A": 1, "a": 2, "B": 3, "b": 4, "_": 5, "-": 6, ".": 7, "/": 8},
    ]
    write("canonical", [
        {"json": json.dumps(value), "canonical_hex": encode_canonical(value).encode("utf-8").hex()} for value in values
    ])


def signers():
    seeds = {name: ed25519.Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest()) for name in
             ("ed25519-1", "ed25519-2", "ed25519-3")}
    made = {name: CryptoSigner(key) for name, key in seeds.items()}
    for name, curve in (("ecdsa-p256", ec.SECP256R1()), ("ecdsa-p384", ec.SECP384R1())):
        number = int.from_bytes(hashlib.sha256(name.encode()).digest(), "big") >> 1
        made[name] = CryptoSigner(ec.derive_private_key(number, curve))
    for bits, scheme in ((2048, "rsassa-pss-sha256"), (3072, "rsassa-pss-sha384"), (2048, "rsassa-pss-sha512")):
        key = rsa.generate_private_key(65537, bits)
        made[scheme] = CryptoSigner(key, SSlibKey.from_crypto(key.public_key(), scheme=scheme))
    return made


def keys(made):
    payload = b"what is signed"
    rows = [
        {
            "name": name,
            "key": signer.public_key.to_dict(),
            "keyid": signer.public_key.keyid,
            "payload": payload.decode(),
            "sig": signer.sign(payload).signature,
        }
        for name, signer in made.items()
    ]
    # Go's default: the longest salt that fits.
    key = rsa.generate_private_key(65537, 2048)
    public = SSlibKey.from_crypto(key.public_key(), scheme="rsassa-pss-sha256")
    longest = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.MAX_LENGTH)
    rows.append({
        "name": "rsassa-pss-sha256, longest salt",
        "key": public.to_dict(),
        "keyid": public.keyid,
        "payload": payload.decode(),
        "sig": key.sign(payload, longest, hashes.SHA256()).hex(),
    })
    write("keys", rows)


def metadata(made):
    root = Root(expires=EXPIRES, version=3, consistent_snapshot=True)
    root.unrecognized_fields["x-note"] = {"text": "unknown fields are signed\nwith their control characters"}
    for name in ("ed25519-1", "ecdsa-p256", "ecdsa-p384", "rsassa-pss-sha256", "rsassa-pss-sha384",
                 "rsassa-pss-sha512"):
        root.add_key(made[name].public_key, "root")
    root.roles["root"].threshold = 6
    for role in ("timestamp", "snapshot"):
        root.add_key(made["ed25519-1"].public_key, role)
    root.add_key(made["ed25519-2"].public_key, "targets")

    targets = Targets(expires=EXPIRES, version=2)
    for path in ("a.txt", "dir/b é.txt", "10", "9"):
        content = path.encode()
        targets.targets[path] = TargetFile(
            len(content),
            {"sha256": hashlib.sha256(content).hexdigest(), "sha512": hashlib.sha512(content).hexdigest()},
            path,
            {"custom": {"note": "quote \" and backslash \\"}},
        )
    team, bins = made["ed25519-3"].public_key, made["ecdsa-p256"].public_key
    targets.delegations = Delegations({team.keyid: team, bins.keyid: bins}, {
        "team": DelegatedRole("team", [team.keyid], 1, True, ["simple/2c26/foo/*", "files/2c26/foo/*"]),
        "hashed": DelegatedRole("hashed", [bins.keyid], 1, False, None, ["2c", "0a"]),
    })
    succinct = Targets(expires=EXPIRES, version=7)
    succinct.delegations = Delegations({team.keyid: team}, None, SuccinctRoles([team.keyid], 1, 14, "bin"))
    snapshot = Snapshot(5, None, EXPIRES, {
        "targets.json": MetaFile(2, None, {"sha256": "ab" * 32}),
        "team.json": MetaFile(1),
        "10.json": MetaFile(4, 120),
    })
    timestamp = Timestamp(9, None, EXPIRES, MetaFile(5, 1234, {"sha256": "cd" * 32}))

    rows = []
    for name, signed, who in (
        ("root", root, ["ed25519-1", "ecdsa-p256", "ecdsa-p384", "rsassa-pss-sha256", "rsassa-pss-sha384",
                        "rsassa-pss-sha512"]),
        ("targets", targets, ["ed25519-2"]),
        ("succinct", succinct, ["ed25519-2"]),
        ("snapshot", snapshot, ["ed25519-1"]),
        ("timestamp", timestamp, ["ed25519-1"]),
    ):
        md = Metadata(signed)
        for signer in who:
            md.sign(made[signer], append=True)
        rows.append({
            "role": name,
            "compact": md.to_bytes(JSONSerializer(compact=True)).decode(),
            "indented": md.to_bytes(JSONSerializer(compact=False)).decode(),
            "canonical_sha256": hashlib.sha256(md.signed_bytes).hexdigest(),
        })
    write("metadata", rows)


def bins():
    paths = [
        "simple/foo/vnd.pypi.simple.v1.json",
        "simple/2c26/foo/vnd.pypi.simple.v1.json",
        "simple/2c26/foo/vnd.pypi.simple.v1.html",
        "files/2c26/foo/foo-1.0-py3-none-any.whl",
        "files/0a12/bar/bar-1!2.0+local.tar.gz",
        "é/日本",
    ]
    key = "ab" * 32
    write("bins", {
        "succinct": [
            {"path": path, "bit_length": bits, "prefix": "bin",
             "role": SuccinctRoles([key], 1, bits, "bin").get_role_for_target(path)}
            for path in paths for bits in (1, 3, 4, 7, 8, 10, 14, 16, 32)
        ],
        "names": [
            {"bit_length": bits, "prefix": "b2", "names": list(SuccinctRoles([key], 1, bits, "b2").get_roles())}
            for bits in (1, 4, 5)
        ],
        "hash_prefixes": [
            {"path": path, "prefix": prefix,
             "holds": DelegatedRole("r", [key], 1, False, None, [prefix]).is_delegated_path(path)}
            for path in paths for prefix in ("2", "2c", hashlib.sha256(path.encode()).hexdigest()[:3])
        ],
        # Patterns of TUF's specification only: fnmatch's brackets are python's own.
        "patterns": [
            {"pattern": pattern, "path": path,
             "holds": DelegatedRole("r", [key], 1, False, [pattern]).is_delegated_path(path)}
            for pattern in ("*", "*/*", "*/*/*/*", "simple/*/*/*", "simple/2c*/*/*", "simple/2c26/foo/*", "files/*/*/*",
                            "simple/????/foo/*.json", "simple/*c*6/*o*/v*d.*", "files/**/*", "Simple/*/*/*",
                            "files/0a*/*/*", "?/??", "simple/2c26/foo", "simple/2c26/foo/*/", "")
            for path in paths
        ],
    })


if __name__ == "__main__":
    canonical()
    all_signers = signers()
    keys(all_signers)
    metadata(all_signers)
    bins()
