"""python-tuf as client.ts runs the others: client.py METADATA_URL ROOT FOLDER TIMES"""

import json
import os
import sys
import time

from tuf.ngclient import Updater

url, root_file, folder, times = sys.argv[1:]
with open(root_file, "rb") as file:
    root = file.read()
took = {"cold": [], "warm": []}
for i in range(int(times)):
    for samples in took.values():
        started = time.perf_counter()
        state = os.path.join(folder, str(i))
        os.makedirs(state, exist_ok=True)
        Updater(state, url, bootstrap=root).refresh()
        samples.append((time.perf_counter() - started) * 1000)
print(json.dumps(took))
