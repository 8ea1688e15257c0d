"""A malicious coordinator and its corrupt parties against the machines of honest ones, at random.

It shows other adverts, shares, heads and consents to whom it likes, mixes in messages of other attempts, and has every
secret of the corrupt, who sign whatever helps. In the end it puts together all that it knows: which secrets of honest
parties the shares open that it has, and which sums of honest vectors are then without masks.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from federation.crypto import ring, shamir
from federation.errors import ProtocolViolation
from federation.ledger import merkle
from federation.protocols.events import Begin, Contribute, Delivered, Message, Parcel
from federation.protocols.masked_sum import MaskedSum, masks
from federation.protocols.masked_sum import party as role
from federation.protocols.masked_sum.masks import Binding, Side
from federation.protocols.masked_sum.messages import Advert, Consent, Head, Shares, Unmask
from federation.protocols.masked_sum.opening import Masked
from federation.protocols.secure_sum import State
from federation.protocols.setup import Setup, colluders_of
from tests.simulation.machines import BASE, COORDINATOR, attested, entropy, names, parcels, setup_of, spec_of


class Wrong(AssertionError):
    """What must never be."""


@dataclass
class Fork:
    """One of the faces that a corrupt party shows: keys of its own."""

    secret: bytes
    state: State
    advert: Parcel


@dataclass
class Vector:
    """A masked vector, and what its masks are bound to."""

    chunks: tuple[bytes, ...]
    binding: Binding
    masked: Masked


@dataclass
class Attempt:
    """What the coordinator has of one attempt.

    Attributes:
        honest: party -> its machine; forks: corrupt party -> its faces.
        said: kind -> party -> the honest party's parcel.
        held: dealer -> place -> (share of its seed, share of its key): what the corrupt were dealt by the honest.
        seeds, keys: dealer -> place -> share, of all that anybody gave.
        plans: what it shows to whom.
    """

    setup: Setup
    honest: dict[str, State]
    forks: dict[str, list[Fork]]
    said: dict[str, dict[str, Parcel]] = field(default_factory=lambda: defaultdict(dict))
    seeds: dict[str, dict[int, bytes]] = field(default_factory=lambda: defaultdict(dict))
    keys: dict[str, dict[int, bytes]] = field(default_factory=lambda: defaultdict(dict))
    vectors: dict[str, Vector] = field(default_factory=dict)
    plans: dict[Any, Any] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)


class Game:
    """One game of the coordinator.

    Args:
        chance: draws all.
        n: how many parties.
        corrupt: how many of them are corrupt.

    Attributes:
        reached: how often what was reached.
        forgetful: the planted fault: honest parties that are shown what they have seen in an earlier state.
    """

    def __init__(self, chance: random.Random, n: int, corrupt: int, *, forgetful: bool = False) -> None:
        self.chance, self.reached, self.forgetful = chance, Counter[str](), forgetful
        everybody = names(n)
        self.corrupt = tuple(sorted(chance.sample(everybody, corrupt)))
        self.honest = tuple(party for party in everybody if party not in self.corrupt)
        self.earlier: dict[tuple[int, str], State] = {}
        self.attempts = [self._begun(n, attempt) for attempt in range(2)]

    def _begun(self, n: int, attempt: int) -> Attempt:
        setup = setup_of(n, attempt=attempt)
        begun = Attempt(setup, {}, {})
        for party in self.honest:
            begun.honest[party] = MaskedSum.party()
            self._step(begun, party, self._begin(setup, party, entropy(party, str(attempt))))
        for party in self.corrupt:
            begun.forks[party] = []
            for face in "ab":
                secret = entropy(party, f"{attempt}{face}")
                transition = MaskedSum.party_step(MaskedSum.party(), self._begin(setup, party, secret))
                begun.forks[party].append(Fork(secret, transition.state, *parcels(transition.effects)))
        return begun

    @staticmethod
    def _begin(setup: Setup, party: str, secret: bytes) -> Begin:
        return Begin(setup=setup, me=party, coordinator=COORDINATOR, entropy=secret)

    # --- what happens -----------------------------------------------------------------------------------------------

    def play(self, moves: int) -> None:
        """Show bundles to honest parties, one after the other."""
        for _ in range(moves):
            at = self.chance.choice(self.attempts)
            party = self.chance.choice(self.honest)
            if party in at.broken:
                continue
            if self.forgetful and self.chance.random() < 0.1 and (at.setup.attempt, party) in self.earlier:
                at.honest[party] = self.earlier[at.setup.attempt, party]
            shown = self._shown(at, party)
            if shown and self.chance.random() < 0.03:
                shown = self._mixed(at, shown)
            if shown:
                self._step(at, party, Delivered(parcels=tuple(shown)))

    def _step(self, at: Attempt, party: str, event: Any) -> None:
        """Let an honest party step, and keep what it says."""
        state = at.honest[party]
        if isinstance(state, role.Masked):
            self.earlier[at.setup.attempt, party] = state
        try:
            transition = MaskedSum.party_step(state, event)
        except ProtocolViolation:
            self.reached["violations"] += 1
            at.broken.add(party)
            return
        at.honest[party] = after = transition.state
        for said in parcels(transition.effects):
            kind = type(said.message.value).__name__
            self.reached[kind.lower()] += 1
            at.said[kind][party] = said
            if isinstance(said.message.value, Unmask):
                self._unmasked(at, party, said.message.value, state)
        if isinstance(after, role.Aside):
            self.reached["left aside"] += 1
        if isinstance(after, role.Shared):
            number = BASE ** at.setup.parties.index(party)
            self._step(at, party, Contribute.of(spec_of(at.setup), [number]))
            now = at.honest[party]
            assert isinstance(now, role.Masked)
            at.vectors[party] = Vector(at.said["Head"][party].chunks, now.binding, now.masked)

    def _unmasked(self, at: Attempt, party: str, given: Unmask, state: State) -> None:
        assert isinstance(state, role.Consented)
        place, known = at.setup.parties.index(party), state.known
        for dealer, share in zip(known.counted, given.self_shares, strict=False):
            at.seeds[dealer][place] = share
        absent = [name for name in known.masked.absent(known.counted) if name != party]
        for dealer, share in zip(absent, given.key_shares, strict=False):
            at.keys[dealer][place] = share

    # --- what is shown ----------------------------------------------------------------------------------------------

    def _shown(self, at: Attempt, party: str) -> list[Parcel]:
        state = at.honest[party]
        match state:
            case role.Advertised():
                return self._adverts(at, party)
            case role.Dealt():
                return self._shares(at, party, state)
            case role.Masked():
                return self._heads(at, state)
            case role.Consented():
                return self._consents(at, state)
        return []

    def _mixed(self, at: Attempt, shown: list[Parcel]) -> list[Parcel]:
        """Put a message of another attempt, or of another step, in the place of one."""
        other = self.chance.choice(self.attempts)
        pool = [parcel for kind in other.said.values() for parcel in kind.values()]
        place = self.chance.randrange(len(shown))
        return [*shown[:place], self.chance.choice(pool), *shown[place + 1 :]]

    def _side(self, at: Attempt, party: str) -> int:
        """Which of two views the party gets."""
        if "sides" not in at.plans:
            two = self.chance.random() < 0.5
            at.plans["sides"] = {one: self.chance.randrange(2) if two else 0 for one in self.honest}
        return int(at.plans["sides"][party])

    def _adverts(self, at: Attempt, party: str) -> list[Parcel]:
        side = self._side(at, party)
        if ("adverts", side) not in at.plans:
            mine = [one for one in self.honest if self._side(at, one) == side]
            others = [one for one in self.honest if one not in mine and self.chance.random() < 0.7]
            if self.chance.random() < 0.3 and len(mine) > 1:
                mine = self.chance.sample(mine, len(mine) - 1)
            faces = {one: at.forks[one][self.chance.randrange(2)] for one in self.corrupt}
            at.plans["adverts", side] = (sorted({*mine, *others}), faces)
        chosen, faces = at.plans["adverts", side]
        return [at.said["Advert"][one] for one in chosen] + [face.advert for face in faces.values()]

    def _shares(self, at: Attempt, party: str, state: role.Dealt) -> list[Parcel]:
        key = ("shares", state.adverts_hash)
        _, faces = at.plans["adverts", self._side(at, party)]
        have = {
            one: said
            for one, said in at.said["Shares"].items()
            if isinstance(said.message.value, Shares) and said.message.value.adverts_hash == state.adverts_hash
        }
        have |= {one: self._dealt(at, one, faces[one], state) for one in self.corrupt}
        if len(have) < at.setup.least:
            return []
        if key not in at.plans or self.chance.random() < 0.05:
            size = len(have) if self.chance.random() < 0.6 else self.chance.randint(at.setup.least, len(have))
            at.plans[key] = sorted(self.chance.sample(sorted(have), size))
        sides = [side.party for side in state.sides]
        for dealer, said in have.items():
            if dealer in self.honest:
                self._taken(at, dealer, said, faces, state)
        return [_box(have[dealer], dealer, party, sides) for dealer in at.plans[key]]

    def _dealt(self, at: Attempt, party: str, face: Fork, state: role.Dealt) -> Parcel:
        """Let a corrupt party deal among these adverts."""
        key = ("dealt", party, state.adverts_hash)
        if key not in at.plans:
            _, faces = at.plans["adverts", self._side_of(at, state)]
            chosen, _ = at.plans["adverts", self._side_of(at, state)]
            bundle = [at.said["Advert"][one] for one in chosen] + [one.advert for one in faces.values()]
            transition = MaskedSum.party_step(face.state, Delivered(parcels=tuple(bundle)))
            (at.plans[key],) = parcels(transition.effects)
        dealt: Parcel = at.plans[key]
        return dealt

    def _side_of(self, at: Attempt, state: role.Dealt) -> int:
        return self._side(at, state.me)

    def _taken(self, at: Attempt, dealer: str, said: Parcel, faces: Mapping[str, Fork], state: role.Dealt) -> None:
        """Open what an honest dealer sealed for the corrupt."""
        sides = {side.party: side for side in state.sides}
        for holder, face in faces.items():
            private = masks.secrets_of(face.secret, at.setup).enc_private
            chunk = _box(said, dealer, holder, list(sides)).chunks[0]
            (secret,) = masks.box_secrets(private, [sides[dealer]])
            seed, key = role._unboxed(secret, sides[dealer], sides[holder], state.adverts_hash, chunk)
            place = at.setup.parties.index(holder)
            at.seeds[dealer][place], at.keys[dealer][place] = seed, key

    def _heads(self, at: Attempt, state: role.Masked) -> list[Parcel]:
        binding = state.binding
        have = [
            said
            for said in at.said["Head"].values()
            if isinstance(said.message.value, Head) and said.message.value.u2_hash == binding.u2_hash
        ]
        for party in self.corrupt:
            if party in state.masked.names:
                root = bytes([self.chance.randrange(2)]) * 32
                have.append(_parcel(_head(party, binding, root)))
        key = ("heads", binding.u2_hash)
        if len(have) < at.setup.least:
            return []
        if key not in at.plans or self.chance.random() < 0.3:
            at.plans[key] = self.chance.sample(have, self.chance.randint(at.setup.least, len(have)))
        return list(at.plans[key])

    def _consents(self, at: Attempt, state: role.Consented) -> list[Parcel]:
        known = state.known
        have = [
            said
            for said in at.said["Consent"].values()
            if isinstance(said.message.value, Consent) and self._fits(said.message.value, known.u3_hash)
        ]
        for party in self.corrupt:
            if party in known.masked.names:
                word = Consent(spec_hash=known.binding.spec_hash, u3_hash=known.u3_hash, party=party)
                have.append(_parcel(word))
        return have if len(have) >= at.setup.threshold else []

    def _fits(self, consent: Consent, u3_hash: bytes) -> bool:
        """Whether a consent would be taken; a liar also tries others."""
        return consent.u3_hash == u3_hash or self.chance.random() < 0.02

    # --- what it knows ----------------------------------------------------------------------------------------------

    def judge(self) -> None:
        """Put together what the coordinator knows. Raises Wrong if that is too much."""
        for at in self.attempts:
            self._judged(at)

    def _judged(self, at: Attempt) -> None:
        t, parties = at.setup.threshold, at.setup.parties
        seeds = {one: _combined(at.seeds[one], t) for one in self.honest}
        keys = {one: _combined(at.keys[one], t) for one in self.honest}
        for party in self.honest:
            secrets = masks.secrets_of(entropy(party, str(at.setup.attempt)), at.setup)
            knows = [seeds[party] == secrets.seed, keys[party] == secrets.mask_private]
            if all(knows):
                raise Wrong(f"{party}'s seed and key are both known: its number can be read")
            seeds[party] = secrets.seed if knows[0] else b""
            keys[party] = secrets.mask_private if knows[1] else b""
        groups = self._without_masks(at, seeds, keys)
        for group in groups:
            if len(group) < at.setup.least - len(self.corrupt) or len(group) < min(2, len(self.honest)):
                raise Wrong(f"the vectors of {' '.join(group)} are opened alone")
            self._read(at, group, seeds, keys)
        if len(groups) > 1:
            raise Wrong("two totals of one attempt are opened")
        self.reached["a total is open" if groups else "nothing is open"] += 1
        assert parties

    def _without_masks(self, at: Attempt, seeds: Mapping[str, bytes], keys: Mapping[str, bytes]) -> list[list[str]]:
        """Sets of honest parties whose vectors add up to something without masks, the smallest ones."""
        left = [party for party in at.vectors if seeds[party]]
        groups, seen = [], set[str]()
        for start in left:
            if start in seen:
                continue
            group, edge, closed = {start}, [start], True
            while edge:
                one = edge.pop()
                vector = at.vectors[one]
                for peer in vector.masked.names:
                    if peer == one or peer in self.corrupt or keys[peer] or keys[one]:
                        continue
                    if peer not in left or at.vectors[peer].binding != vector.binding:
                        closed = False  # a mask that nobody can take off
                    elif peer not in group:
                        group.add(peer)
                        edge.append(peer)
            seen |= group
            if closed:
                groups.append(sorted(group))
        return groups

    def _read(self, at: Attempt, group: Sequence[str], seeds: Mapping[str, bytes], keys: Mapping[str, bytes]) -> None:
        """Take off the masks of a group; what is left must be its sum, or this judge errs."""
        add, subtract = list[bytes](), list[bytes]()
        for party in group:
            vector = at.vectors[party]
            sides = {side.party: side for side in vector.masked.sides}
            subtract.append(masks.self_seed(seeds[party], party, vector.binding))
            for peer, side in sides.items():
                private = self._private(at, peer, side, keys)
                if peer == party or peer in group or not private:
                    continue
                pair = masks.pair_seed(private, side, sides[party], vector.binding)
                (subtract if party < peer else add).append(pair)
        streams = masks.Streams(add=tuple(add), subtract=tuple(subtract))
        chunks, _ = masks.summed([at.vectors[one].chunks for one in group], "z2^128", streams)
        (total,) = ring.to_ints(ring.from_bytes(b"".join(chunks)))
        if total != sum(BASE ** at.setup.parties.index(party) for party in group):
            raise Wrong(f"the judge errs: {total} is not the sum of {group}")

    def _private(self, at: Attempt, party: str, side: Side, keys: Mapping[str, bytes]) -> bytes:
        """The mask key of this party that the coordinator knows."""
        for face in at.forks.get(party, []):
            advert = face.advert.message.value
            if isinstance(advert, Advert) and advert.mask_pk == side.mask_pk:
                return masks.secrets_of(face.secret, at.setup).mask_private
        return keys.get(party, b"")


def _combined(shares: Mapping[int, bytes], threshold: int) -> bytes | None:
    """The secret of these shares if they are enough."""
    places = sorted(shares)[:threshold]
    if len(places) < threshold:
        return None
    return shamir.combined(shamir.weights(places), [shares[place] for place in places])


def _box(said: Parcel, dealer: str, target: str, sides: Sequence[str]) -> Parcel:
    """What one party gets of a dealer's shares."""
    if dealer == target:
        return Parcel(message=said.message)
    place = [one for one in sides if one != dealer].index(target)
    leaves = [merkle.leaf_hash(box) for box in said.chunks]
    return Parcel(message=said.message, chunks=(said.chunks[place], *merkle.inclusion(leaves, place)))


def _head(party: str, binding: Binding, root: bytes) -> Head:
    return Head(spec_hash=binding.spec_hash, u2_hash=binding.u2_hash, party=party, chunk_root=root, length=1)


def _parcel(message: Message) -> Parcel:
    return Parcel(message=attested(message))


def played(seeds: Iterable[int], *, beyond: int = 0, forgetful: bool = False) -> Counter[str]:
    """Play a game a seed; return what was reached. Raises Wrong. `beyond`: so many more corrupt than is promised."""
    reached: Counter[str] = Counter()
    for seed in seeds:
        chance = random.Random(seed)
        n = chance.choice((3, 4, 4, 5, 5, 6, 7))
        most = colluders_of(n, setup_of(n).threshold)
        game = Game(chance, n, min(n - 1, chance.randint(0, most) + beyond), forgetful=forgetful)
        game.play(40 * n)
        reached += game.reached
        game.judge()
        reached += Counter({what: game.reached[what] for what in ("a total is open", "nothing is open")})
    return reached
