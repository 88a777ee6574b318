#!/usr/bin/env python3
"""A claim on a secondary domain goes live without a proof, by a call that no guard can stop.  python3 secondaries.py [-t]
Actors: the writer, two recoveries, PowerDNS. Another tenant's zone is near the name, or is not; the writer looks for it
under its intent. Faults: each crashes anywhere, recovery comes at any moment, the call lands at any moment after it was
sent. There is no time in it."""
import sys
from collections import deque, namedtuple
# near: another tenant's zone   epoch: of the intent, None: there is none   note: it says that the call may be sent
# sent: calls on their way   zone: PowerDNS serves it   row: what MariaDB says of the claim   w, r: phase and what it knows
S = namedtuple("S", "near epoch note sent zone row w r")
STARTS = [S(near, None, False, 0, False, "claim", ("new",), (("out",), ("out",))) for near in (False, True)]

def steps(s, v):
    out = []
    add = lambda label, n: out.append((label, n))
    settle = lambda e, row, n: n._replace(epoch=None, row=row) if s.epoch == e else n
    phase, known = s.w[0], s.w[1:]
    # --- the writer
    if phase == "new": add("W INTENT", s._replace(epoch=0, note=v == "no note", w=("look", 0)))
    if phase == "look" and s.near: add("W sees the neighbour, lets go", settle(known[0], "claim", s)._replace(w=("end",)))
    if phase == "look" and not s.near:
        if v == "no note": add("W sees nobody", s._replace(w=("may", 0)))
        elif s.epoch == known[0]:
            e = s.epoch + (v != "note beside")
            add("W NOTES that it may send", s._replace(note=True, epoch=e, w=("may", e)))
        else: add("W finds that recovery owns it", s._replace(w=("end",)))
    if phase == "may": add("W SENDS", s._replace(sent=s.sent + 1, w=("sent", known[0])))
    if phase == "sent" and s.zone: add("W settles: applied", settle(known[0], "live", s)._replace(w=("end",)))
    if phase not in ("new", "end"): add("W CRASHES", s._replace(w=("end",)))
    # --- PowerDNS
    if s.sent: add("PowerDNS makes the zone, or has it", s._replace(sent=s.sent - 1, zone=True))
    # --- recoveries: each reads the intent, takes it over, and acts by what it has read
    for i in (0, 1):
        r = s.r[i]
        step = lambda x, n=s: n._replace(r=n.r[:i] + (x,) + n.r[i + 1:])
        if r[0] == "out" and s.epoch is not None: add(f"R{i} reads the intent", step(("read", s.epoch, s.note)))
        if r[0] == "read":
            if s.epoch == r[1]: add(f"R{i} TAKES OVER", step(("own", r[1] + 1, r[2]), s._replace(epoch=r[1] + 1)))
            else: add(f"R{i} comes too late", step(("out",)))
        if r[0] == "own" and r[2]: add(f"R{i} SENDS", step(("sent", r[1]), s._replace(sent=s.sent + 1)))
        if r[0] == "own" and not r[2]: add(f"R{i} settles: dropped", step(("out",), settle(r[1], "claim", s)))
        if r[0] == "sent" and s.zone: add(f"R{i} settles: applied", step(("out",), settle(r[1], "live", s)))
        if r[0] != "out" and s.epoch is not None and s.epoch < 6: add(f"R{i} CRASHES", step(("out",)))
    return out

def broken(s, n):
    if n.zone and n.near: return "a zone is served beside another tenant's, and nobody has looked"

def wrong_at_rest(s):
    if s.epoch is not None: return "an intent is left"
    if s.zone != (s.row == "live"): return "a claim that was let go is served"

def explore(v, label, traces):
    parent, queue, bad = {s: None for s in STARTS}, deque(STARTS), {}
    def trace(s, last):
        lines = [last]
        while parent[s]: s, x = parent[s]; lines.append(x)
        return lines[::-1]
    while queue:
        s = queue.popleft()
        if s.epoch is not None and s.epoch > 7: continue  # one take-over after another leads nowhere new
        found = steps(s, v)
        if not found and (why := wrong_at_rest(s)): bad.setdefault(why, trace(s, "** " + why))
        for text, n in found:
            if why := broken(s, n): bad.setdefault(why, trace(s, text + "  ** " + why)); continue
            if n not in parent: parent[n] = (s, text); queue.append(n)
    print(f"{'FAIL' if bad else 'pass'} {len(parent):>6} states  {label}")
    for why, lines in bad.items():
        print("   -", why)
        if traces: print("       " + "\n       ".join(lines))
    return bool(bad)

VARIANTS = [
    ("no note", "recovery takes every intent to its end"),
    ("note beside", "the note leaves the epoch: who has read the intent before may still take it over"),
]
if __name__ == "__main__":
    traces = "-t" in sys.argv
    for v, label in VARIANTS: explore(v, label, traces)
    sys.exit(explore("", "as built: nothing is sent before the note, which raises the epoch", traces))
