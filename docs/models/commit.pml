/* Pins, commits, folds and reuse of segments: a model for spin.
 *
 * One commit record fills one segment. What is left out: data (it is retired and
 * reused by the same rule), durable versions (tests/simdisk), weak memory (a load
 * that comes before the store above it is the mutant PIN_LATE; the order that
 * excludes it is argued in docs/concurrency.md, I3, and tried on real cores by
 * pins_test).
 *
 * What must hold: whoever has pinned a version finds its record and all that the
 * accounting needs of its chain (P8) unchanged; no commit is lost; the newest
 * record is never freed. Any process may be as slow as it likes at any step. With
 * MORTAL writer 0 may also die, and the collector takes over what it had claimed.
 *
 * All of it at once is too much to search: tests/models/models_test.sh has the
 * combinations. Mutants, one at a time, which spin must find:
 *   PIN_LATE        the root is loaded before the range pin is seen by others (I3)
 *   PIN_BLINDLY     a range becomes exact by a store, whether revoked or not (P1)
 *   ONE_CELL        who restamps does not pin the winner (P3)
 *   NO_TAG          a state word that came back is taken for the old one (P5)
 *   ROW_FIRST       the accounting is read before the state word (P5)
 *   PINS_FIRST      the pins are scanned before the root is read (P6)
 *   NEXT_RETIRES    a record is retired by the next commit, not by a fold (P8)
 *   EARLY_DEATH     what a commit retires is dead at its base's version already
 *   FOLD_TWICE      a fold that has lost to a fold goes on (P8)
 *   DEAD_IS_FREE    what a dead owner had claimed is free, committed to or not (P7)
 */

#ifndef SEGMENTS
#define SEGMENTS 4
#endif
#ifndef COMMITS0
#define COMMITS0 1
#endif
#ifndef COMMITS1
#define COMMITS1 1
#endif
#ifndef PASSES
#define PASSES 2
#endif
#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef FOLDERS
#define FOLDERS 1
#endif
#ifndef COLLECTORS
#define COLLECTORS 1
#endif
#ifndef READERS
#define READERS 0
#endif

#ifdef NO_TAG
#define IS_SAME_TAG true
#else
#define IS_SAME_TAG (tag[x] == t)
#endif

#define FREE 0
#define CLAIMED 1
#define SEALED 2

#define NO_PIN 0
#define RANGE 100
#define REVOKED 101

/* Two cells for each writer and folder, one for a reader. */
#define FOLDER_CELL (2 * WRITERS)
#define READER_CELL (FOLDER_CELL + 2 * FOLDERS)
#define CELLS (READER_CELL + READERS)
#define NOBODY 99

byte root;

/* The record in each segment. */
byte version[SEGMENTS];
byte folded[SEGMENTS];
byte previous[SEGMENTS];
byte count0[SEGMENTS];
byte count1[SEGMENTS];

/* The accounting that the newest root leads to. */
byte birth[SEGMENTS];
byte death[SEGMENTS]; /* 0: alive */

/* The shared region. */
byte state[SEGMENTS];
byte tag[SEGMENTS];
byte owner[SEGMENTS];
byte cell[CELLS];

byte committed0;
byte committed1;
bool is_dead; /* writer 0 */

inline Pin(c, r, v) {
  do
  ::
#ifdef PIN_LATE
     r = root;
     cell[c] = RANGE;
#else
     cell[c] = RANGE;
     r = root;
#endif
     v = version[r];
#ifdef PIN_BLINDLY
     cell[c] = v;
     break
#else
     atomic {
       if
       :: cell[c] == RANGE -> cell[c] = v; break
       :: else -> skip
       fi
     }
#endif
  od
}

/* Blocks while nothing is free. */
inline Claim(n, who) {
  atomic {
    if
    :: state[0] == FREE -> n = 0
    :: state[1] == FREE -> n = 1
    :: state[2] == FREE -> n = 2
    :: state[3] == FREE -> n = 3
    fi;
    state[n] = CLAIMED;
    owner[n] = who;
    tag[n]++
  }
}

inline Release(n, to) {
  atomic {
    if
    :: state[n] == CLAIMED -> state[n] = to; tag[n]++; owner[n] = NOBODY
    :: else -> skip /* only if this one is dead */
    fi
  }
}

/* What the compare-and-swap makes true: the row of the new record. */
inline Publish(n) {
  root = n;
  birth[n] = version[n];
  death[n] = 0
}

/* The chain (folded, version] that a pin protects. */
inline CheckChain(r, v, x, y) {
  x = r;
  y = v;
  do
  :: y > folded[r] ->
     assert(version[x] == y);
     atomic { x = previous[x]; y-- }
  :: else -> break
  od;
  atomic { x = 0; y = 0 }
}

#ifdef MORTAL
inline MayDie() {
  if
  :: k == 0 -> goto dead
  :: true
  fi
}
#else
inline MayDie() { skip }
#endif

proctype Writer(byte k) {
  byte r, v, n, a, b, f;
  bool won;
  do
  :: (k == 0 -> committed0 < COMMITS0 : committed1 < COMMITS1) ->
     Pin(2 * k, r, v);
     atomic { a = count0[r]; b = count1[r]; f = folded[r] };
     Claim(n, k);
     MayDie();
again:
     atomic {
       version[n] = v + 1;
       folded[n] = f;
       previous[n] = r;
       count0[n] = a + (k == 0 -> 1 : 0);
       count1[n] = b + (k == 1 -> 1 : 0)
     };
     atomic {
       won = (root == r);
       if
       :: won ->
          Publish(n);
#ifdef NEXT_RETIRES
          death[r] = v + 1;
#endif
          if
          :: k == 0 -> committed0++
          :: else -> committed1++
          fi;
          /* None is lost. */
          assert(count0[n] == committed0 && count1[n] == committed1)
       :: else -> skip
       fi
     };
     if
     :: won ->
        MayDie();
        Release(n, SEALED)
     :: else ->
        MayDie();
        /* Nobody else changes this one's collection: a restamp. */
#ifdef ONE_CELL
        r = root;
        v = version[r];
#else
        Pin(2 * k + 1, r, v);
#endif
        atomic {
          f = folded[r];
          if
          :: k == 0 -> b = count1[r]
          :: else -> a = count0[r]
          fi
        };
        goto again
     fi;
     cell[2 * k + 1] = NO_PIN;
     atomic {
       cell[2 * k] = NO_PIN;
       r = 0; v = 0; n = 0; a = 0; b = 0; f = 0; won = false
     }
  :: else -> break
  od;
  goto end;
dead:
  /* Its pins are ignored from now on, and its claim may be taken over. */
  atomic { cell[0] = NO_PIN; cell[1] = NO_PIN; is_dead = true };
end:
  skip
}

proctype Folder(byte c) {
  byte r, v, n, upto, former, x, y;
  bool won;
  Pin(c, r, v);
  atomic { former = folded[r]; upto = v };
  CheckChain(r, v, x, y);
  Claim(n, c);
again:
  atomic {
    version[n] = v + 1;
    folded[n] = upto;
    previous[n] = r;
    count0[n] = count0[r];
    count1[n] = count1[r]
  };
  atomic {
    won = (root == r);
    if
    :: won ->
       x = 0;
       do
       :: x < SEGMENTS ->
          if
          :: birth[x] > former && birth[x] <= upto ->
             /* Retired twice: more than lives. */
             assert(death[x] == 0);
#ifdef EARLY_DEATH
             death[x] = v
#else
             death[x] = v + 1
#endif
          :: else -> skip
          fi;
          x++
       :: else -> break
       od;
       x = 0;
       Publish(n)
    :: else -> skip
    fi
  };
  if
  :: won -> Release(n, SEALED)
  :: else ->
     Pin(c + 1, r, v);
     if
#ifdef FOLD_TWICE
     :: true -> goto again
#else
     :: folded[r] == former -> goto again
     :: else -> Release(n, FREE)
#endif
     fi
  fi;
  cell[c + 1] = NO_PIN;
  atomic { cell[c] = NO_PIN; r = 0; v = 0; n = 0; upto = 0; former = 0 }
}

proctype Reader() {
  byte r, v, x, y;
  Pin(READER_CELL, r, v);
  CheckChain(r, v, x, y);
  CheckChain(r, v, x, y);
  atomic { cell[READER_CELL] = NO_PIN; r = 0; v = 0 }
}

/* `pins` has a bit for each exact version. */
inline Scan(i, w, pins, ranges) {
  i = 0;
  do
  :: i < CELLS ->
     atomic { w = cell[i] };
     if
     :: w == RANGE ->
        if
        :: ranges = true /* met for the first time */
        :: atomic {      /* met again */
             if
             :: cell[i] == RANGE -> cell[i] = REVOKED
             :: else ->
                w = cell[i];
                if
                :: w != NO_PIN && w != REVOKED -> pins = pins | (1 << w)
                :: else -> skip
                fi
             fi
           }
        fi
     :: w != RANGE && w != NO_PIN && w != REVOKED -> pins = pins | (1 << w)
     :: else -> skip
     fi;
     atomic { i++; w = 0 }
  :: else -> break
  od;
  i = 0
}

inline ReadRow() { atomic { b = birth[x]; d = death[x] } }

proctype Collector() {
  byte x, s, t, b, d, i, w, n;
  int pins;
  bool ranges, has_record;
  do
  :: n < PASSES ->
     n++;
     if
     :: x = 0
     :: x = 1
     :: x = 2
     :: x = 3
     fi;
#ifdef ROW_FIRST
     ReadRow();
#endif
     atomic { s = state[x]; t = tag[x] };
     if
     :: s == SEALED ->
#ifdef PINS_FIRST
        Scan(i, w, pins, ranges);
        ReadRow();
#else
#ifndef ROW_FIRST
        ReadRow();
#endif
        if
        :: d != 0 -> Scan(i, w, pins, ranges)
        :: else -> skip
        fi;
#endif
        atomic {
          i = b;
          do
          :: i < d ->
             if
             :: (pins & (1 << i)) != 0 -> ranges = true
             :: else -> skip
             fi;
             i++
          :: else -> break
          od;
          i = 0;
          if
          :: d != 0 && !ranges && state[x] == SEALED && IS_SAME_TAG ->
             assert(x != root);
             state[x] = FREE;
             tag[x]++
          :: else -> skip
          fi
        }
     :: s == CLAIMED ->
        /* To oneself, then the root, then what was committed (P7). */
        atomic {
          if
          :: is_dead && owner[x] == 0 && tag[x] == t ->
             owner[x] = 3;
             tag[x]++;
             s = 3
          :: else -> skip
          fi
        };
        if
        :: s == 3 ->
#ifdef DEAD_IS_FREE
           has_record = false;
#else
           /* Its life began with the record that the root leads to. */
           has_record = (death[x] == 0 && birth[x] != 0);
#endif
           atomic {
             state[x] = (has_record -> SEALED : FREE);
             assert(state[x] == SEALED || x != root);
             owner[x] = NOBODY;
             tag[x]++
           }
        :: else -> skip
        fi
     :: else -> skip
     fi;
     atomic {
       x = 0; s = 0; t = 0; b = 0; d = 0; pins = 0;
       ranges = false; has_record = false
     }
  :: else -> break
  od
}

init {
  atomic {
    version[0] = 1;
    birth[0] = 1;
    state[0] = SEALED;
    owner[0] = NOBODY;
    owner[1] = NOBODY;
    owner[2] = NOBODY;
    owner[3] = NOBODY;
    run Writer(0);
#if WRITERS > 1
    run Writer(1);
#endif
    run Folder(FOLDER_CELL);
#if FOLDERS > 1
    run Folder(FOLDER_CELL + 2);
#endif
#if READERS > 0
    run Reader();
#endif
#if COLLECTORS > 1
    run Collector();
#endif
    run Collector()
  }
}
