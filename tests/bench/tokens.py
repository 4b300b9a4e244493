# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One token in one process, by the way that argv names, or many by all ways in this process. See bench.py."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import json
import sys
import time
from urllib.parse import quote

TARGET = ("orders.cabcdefghijk.eu-west-1.rds.amazonaws.com", 3306, "app", "eu-west-1")


def collection():
    from ansible_collections.dbops.rds_iam.plugins.module_utils._token import (  # noqa: PLC0415 - is measured, too
        credentials,
        signer,
    )

    source = credentials.find_credentials()
    return lambda: signer.sign(source, *TARGET)


def boto3():
    import boto3  # noqa: PLC0415 - is measured, too

    host, port, user, region = TARGET
    client = boto3.client("rds", region_name=region)
    return lambda: client.generate_db_auth_token(host, port, user)


def bare_hmac():
    """The least that can be done: a fixed string, signed with the standard library, no credentials looked for."""
    host, port, user, region = TARGET

    def sign():
        stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{stamp[:8]}/{region}/rds-db/aws4_request"
        query = (
            f"Action=connect&DBUser={user}&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={quote('AK/' + scope, '')}"
            f"&X-Amz-Date={stamp}&X-Amz-Expires=900&X-Amz-SignedHeaders=host"
        )
        canonical = f"GET\n/\n{query}\nhost:{host}:{port}\n\nhost\n{hashlib.sha256(b'').hexdigest()}"
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        key = b"AWS4SECRET"
        for part in (stamp[:8], region, "rds-db", "aws4_request", text):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        return f"{host}:{port}/?{query}&X-Amz-Signature={key.hex()}"

    return sign


WAYS = {"collection": collection, "boto3": boto3, "hmac": bare_hmac}


def warm(rounds: int = 15, tokens: int = 200) -> dict[str, float]:
    """Seconds for a token once everything is loaded; the ways take turns, and the best round of each counts."""
    signers = {way: start() for way, start in WAYS.items()}
    best = dict.fromkeys(signers, float("inf"))
    for _round in range(rounds):
        for way, sign in signers.items():
            begin = time.perf_counter()
            for _token in range(tokens):
                sign()
            best[way] = min(best[way], (time.perf_counter() - begin) / tokens)
    return best


if __name__ == "__main__":
    if sys.argv[1] == "warm":
        print(json.dumps(warm()))
    else:
        WAYS[sys.argv[1]]()()
