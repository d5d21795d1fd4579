#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""
The symbols of every kind of binary, compared with llvm-symbolizer's and addr2line's.

Each case builds a program. Every return address in it (what objdump shows behind a call) is
asked of places, which has the tool's own code, and of both others. An answer is

  right  all functions, inlined ones included, with files and lines, as one of the others has it
  less   fewer of them, nothing else, and the reason is told
  wrong  another function, or another line; or less without a reason

No case may have a wrong one; each says how many may be less, and for what reason.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
MAX_PLACES = 400


def run(command, cwd, text=None):
    done = subprocess.run(command, shell=isinstance(command, str), cwd=cwd, input=text,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          errors="replace", check=False)
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stderr.strip()[-2000:]}")
    return done.stdout


class Case:
    """A program: how it is made, and what of it may be less."""

    def __init__(self, name, make, less=0, why=(), truth="both", build_id=True, full=None,
                 named=0.0, no_line=False):
        self.name, self.make = name, make
        self.less = less            # the part of the places of which less may be told
        self.why = why              # the reasons, each of which must be given
        self.truth = truth
        self.build_id = build_id    # whether it was recorded
        self.full = full or "it"    # the same code, of which llvm-symbolizer knows all
        self.no_line = no_line      # the compiler gives some places none
        self.named = named          # the part that must have a function's name


def segments(path):
    """The executable segments: offset, address, size."""
    found = []
    for line in run(["readelf", "-lW", path], None).splitlines():
        field = line.split()
        if field and field[0] == "LOAD" and "E" in "".join(field[6:-1]):
            found.append((int(field[1], 16), int(field[2], 16), int(field[4], 16)))
    return found


def build_id(path):
    found = re.search(r"Build ID: ([0-9a-f]+)", run(["readelf", "-nW", path], None))
    return found.group(1) if found else "-"


def return_addresses(path):
    """What lies behind each call, at most MAX_PLACES of them, spread over the file."""
    found, after = [], False
    for line in run(["objdump", "-dw", "--no-show-raw-insn", path], None).splitlines():
        match = re.match(r"\s*([0-9a-f]+):\t(\S+)", line)
        if not match:
            # A call at the very end of a function returns to what comes next.
            continue
        if after:
            found.append(int(match.group(1), 16))
        after = match.group(2).startswith("call")
    step = max(1, -(-len(found) // MAX_PLACES))
    return found[::step]


def bare(name):
    return re.sub(r"\.(cold|part|isra|constprop|lto_priv|llvm|abi0|\d+)\b.*", "", name)


def plain(names):
    """Demangled, without parameters: by binutils' c++filt."""
    names = sorted({bare(name) for name in names})
    shown = run(["c++filt", "-p", "-i"], None, "\n".join(names) + "\n").splitlines()
    return dict(zip(names, shown))


def of_llvm(path, addresses):
    """A list of (function, file, line) for each address, innermost first."""
    text = "".join(f"{address - 1:#x}\n" for address in addresses)
    out = run(["llvm-symbolizer", "--no-demangle", "--inlining", "--obj=" + path], None, text)
    answers = []
    for block in out.strip("\n").split("\n\n"):
        lines, frames = block.split("\n"), []
        for function, place in zip(lines[::2], lines[1::2]):
            file, line = place.rsplit(":", 2)[:2]
            frames.append((function, file, int(line)))
        answers.append(frames)
    return answers


def of_addr2line(path, addresses):
    text = "".join(f"{address - 1:#x}\n" for address in addresses)
    out = run(["addr2line", "-afi", "-e", path], None, text)
    answers = []
    for block in re.split(r"^0x[0-9a-f]+\n", out, flags=re.M)[1:]:
        lines, frames = block.strip("\n").split("\n"), []
        for function, place in zip(lines[::2], lines[1::2]):
            file, line = re.sub(r" \(discriminator \d+\)", "", place).rsplit(":", 1)
            frames.append((function, file, int(line) if line.isdigit() else 0))
        answers.append(frames)
    return answers


def of_ours(places, path, addresses, identity):
    loaded = segments(path)
    asked = []
    for address in addresses:
        offset = next((address - start + at for at, start, size in loaded
                       if start < address <= start + size), 0)
        asked.append(f"{path} {identity} {offset:x}\n")
    out = run([places], None, "".join(asked))
    answers = []
    for line in out.splitlines():
        field = line.split("\t")
        if field[0]:
            answers.append((field[1], []))
        else:
            answers[-1][1].append((field[1], field[2], int(field[3])))
    return answers


def symbols_at(path):
    """All names that the file has for an address, by address."""
    found = {}
    identity = build_id(path)
    apart = f"/usr/lib/debug/.build-id/{identity[:2]}/{identity[2:]}.debug"
    out = "".join(subprocess.run(["nm", "-a", which], stdout=subprocess.PIPE,
                                 stderr=subprocess.DEVNULL, text=True, check=False).stdout
                  for which in (path, apart))
    for line in out.splitlines():
        field = line.split()
        if len(field) == 3 and field[1].lower() in "tiwv":
            found.setdefault(int(field[0], 16), []).append(field[2].split("@")[0])
    return found


def same_file(ours, theirs):
    ours, theirs = os.path.normpath(ours), os.path.normpath(theirs)
    short = min(ours, theirs, key=len).lstrip("/").lstrip("./")
    return max(ours, theirs, key=len).endswith(short) or \
        os.path.realpath(ours) == os.path.realpath(theirs)


class Judge:
    def __init__(self, names, symbols):
        self.names = names
        self.alias = {}
        for group in symbols.values():
            shown = {self.shown(name) for name in group}
            for name in shown:
                self.alias.setdefault(name, set()).update(shown)

    def shown(self, name):
        name = bare(name)
        return self.names.get(name, name)

    def same_function(self, ours, theirs):
        theirs = self.shown(theirs)
        ours = bare(ours)
        if ours == theirs or ours in self.alias.get(theirs, ()):
            return True
        # DWARF's name of what has no linkage name has no scope.
        last = theirs.rsplit("::", 1)[-1]
        return ours.rsplit("::", 1)[-1] == last or ours + "_" == theirs or \
            theirs.endswith("__" + ours) or theirs.endswith("." + ours)

    def same(self, ours, theirs):
        function, file, line = ours
        if theirs[0] != "??" and not self.same_function(function, theirs[0]):
            return False
        if not theirs[2] and not line:
            return True
        return line == theirs[2] and same_file(file, theirs[1])

    def right(self, ours, theirs):
        return len(ours) == len(theirs) and all(map(self.same, ours, theirs))

    def less(self, ours, theirs):
        """Whether every line that is told is told of a function that has it."""
        for function, file, line in ours:
            if function != "??" and not any(
                    other[0] == "??" or self.same_function(function, other[0])
                    for other in theirs):
                return False
            if line and not any(
                    line == other[2] and same_file(file, other[1]) and
                    (function == "??" or other[0] == "??" or
                     self.same_function(function, other[0]))
                    for other in theirs):
                # Of inlined ones that are not known the outer one has the innermost's line.
                if not (line == theirs[0][2] and same_file(file, theirs[0][1]) and
                        len(ours) == 1):
                    return False
        return True


def judge(case, where, places, verbose):
    path = os.path.join(where, "it")
    truth_path = os.path.join(where, case.full)
    addresses = return_addresses(truth_path)
    if not addresses:
        return "no return address was found"
    answers = of_ours(places, path, addresses, build_id(path) if case.build_id else "-")
    truths = []
    if case.truth in ("both", "llvm"):
        truths.append(of_llvm(truth_path, addresses))
    if case.truth in ("both", "addr2line"):
        truths.append(of_addr2line(truth_path, addresses))
    if any(len(truth) != len(addresses) for truth in truths) or len(answers) != len(addresses):
        return "an answer is missing"
    names = plain({frame[0] for truth in truths for frames in truth for frame in frames} |
                  {name for group in symbols_at(truth_path).values() for name in group})
    judging = Judge(names, symbols_at(truth_path))
    right = less = wrong = named = 0
    reasons = {}
    for i, (why, ours) in enumerate(answers):
        theirs = [truth[i] for truth in truths]
        named += ours[-1][0] != "??"
        lacks = any(function == "??" or not line for function, _, line in ours)
        if lacks and why:
            reasons[why] = reasons.get(why, 0) + 1
        if (why or not lacks) and any(judging.right(ours, other) for other in theirs):
            right += 1
        elif why and any(judging.less(ours, other) for other in theirs):
            less += 1
            if not lacks:
                reasons[why] = reasons.get(why, 0) + 1
            if verbose > 1 or (verbose and not case.less):
                print(f"#   less {addresses[i]:#x}: {why}: {ours}, not {theirs}")
        else:
            wrong += 1
            print(f"#   wrong {addresses[i]:#x}: {why}: {ours}, not {theirs}")
    print(f"# {case.name}: {len(addresses)} places: {right} right, {less} less, {wrong} wrong"
          + "".join(f"; {number} {reason}" for reason, number in reasons.items()))
    if wrong:
        return f"{wrong} wrong answers"
    if less > case.less * len(addresses):
        return f"{less} of {len(addresses)} places are less than known"
    for reason in reasons:
        allowed = case.why + (("gave this place no line", "covers this place")
                              if case.no_line else ())
        if not any(part in reason for part in allowed):
            return f"another reason: {reason}"
    for part in case.why:
        if not any(part in reason for reason in reasons):
            return f"this reason was not given: {part}"
    if case.named and named < case.named * len(addresses):
        return f"{named} of {len(addresses)} places have a function"
    return None


# What gcc puts into every program: _start, and what runs constructors.
NEVER_DEBUG = "compiled without debug information"


def c_case(name, compiler, flags, link="", before="true", after="true", why=(), **more):
    """Two files of C; of gcc's own parts nothing is known."""
    objects = " && ".join(f"{compiler} {flags} -c {name}.c -o {name}.o"
                          for name in ("main", "other"))
    return Case(name, f"{before} && {objects} && {compiler} {flags} {link} -o it main.o other.o"
                f" && {after}", why=(NEVER_DEBUG, *why), **more)


def cpp_case(name, compiler, flags, after="true", why=(), **more):
    return Case(name, f"{compiler} {flags} -o it main.cpp && {after}", why=(NEVER_DEBUG, *why),
                **more)


def core_cases():
    apart = "cp it full && objcopy --only-keep-debug it it.debug && strip it && " \
        "objcopy --add-gnu-debuglink=it.debug it"
    # Of split units llvm-symbolizer 14 loses functions, and addr2line all lines.
    gcc_whole = "gcc -g -O2 -o full main.c other.c"
    clang_whole = "clang -g -O2 -c main.c && clang -g -O2 -c other.c && " \
        "clang -o full main.o other.o"
    yield c_case("gcc", "gcc", "-g -O2")
    yield c_case("gcc, not optimised", "gcc", "-g -O0")
    yield c_case("clang", "clang", "-g -O2")
    yield c_case("clang, .debug_aranges", "clang", "-g -O2 -gdwarf-aranges")
    yield c_case("gcc -flto", "gcc", "-g -O2 -flto")
    yield c_case("gcc, split", "gcc", "-g -O2 -gsplit-dwarf", before=gcc_whole, full="full")
    yield c_case("clang, split", "clang", "-g -O2 -gsplit-dwarf", before=clang_whole,
                 full="full")
    yield c_case("gcc, split, .dwo files gone", "gcc", "-g -O2 -gsplit-dwarf",
                 before=gcc_whole, after="rm *.dwo", less=1, why=(".dwo",), full="full", named=1)
    yield c_case("gcc, dwz", "gcc", "-g -O2", after="dwz it")
    yield c_case("gcc, 32-bit", "gcc", "-g -O2 -m32", build_id=False)
    yield Case("gcc, stripped", "gcc -g -O2 -o full main.c other.c && cp full it && strip it",
               full="full", less=1, why=("stripped, and no debug file",))
    yield c_case("gcc, zlib", "gcc", "-g -O2 -gz=zlib")
    yield Case("gcc, zstd", "gcc -g -O2 -o full main.c other.c && "
               "objcopy --compress-debug-sections=zstd full it", full="full", less=1,
               why=("zstd",), named=1)
    yield Case("a neighbour without debug information", "gcc -g -O2 -c main.c && gcc -g -O2 -c "
               "other.c && gcc -O2 -c nodebug.c && gcc -o it main.o other.o nodebug.o",
               why=(NEVER_DEBUG,))
    yield Case("clang and gcc in one program", "gcc -g -O2 -c main.c && clang -g -O2 -c other.c "
               "&& gcc -o it main.o other.o", why=(NEVER_DEBUG,))
    yield Case("assembler", "gcc -g -c start.S && gcc -g -O2 -c main.c && gcc -g -O2 -c other.c "
               "&& gcc -o it start.o main.o other.o", why=(NEVER_DEBUG,))
    yield cpp_case("g++", "g++", "-g -O2")
    yield cpp_case("clang++", "clang++", "-g -O2", why=("gave this place no line",))
    yield cpp_case("g++ -flto", "g++", "-g -O2 -flto")
    yield c_case("gcc, .gnu_debuglink", "gcc", "-g -O2", after=apart, full="full")
    yield c_case("gcc, .gnu_debuglink, no build id", "gcc", "-g -O2",
                 link="-Wl,--build-id=none", after=apart, full="full", build_id=False)
    yield Case("gcc, no debug information", "gcc -O2 -o it main.c other.c",
               why=("no debug information",), named=1)


def more_cases():
    both = "main.c other.c"
    for option in ("-gdwarf-3", "-gdwarf-4", "-g1", "-g3", "-Os", "-O3", "-gdwarf64",
                   "-fdebug-types-section", "-ffunction-sections -Wl,--gc-sections",
                   "-freorder-blocks-and-partition -O3", "-fomit-frame-pointer"):
        yield c_case(f"gcc {option}", "gcc", f"-g -O2 {option}")
        yield cpp_case(f"g++ {option}", "g++", f"-g -O2 {option}")
    yield c_case("gcc -gz=zlib-gnu", "gcc", "-g -O2 -gz=zlib-gnu")
    for option in ("-gdwarf-4", "-O0", "-Os", "-fdebug-types-section",
                   "-gsimple-template-names", "-fuse-ld=lld", "-fuse-ld=lld -flto",
                   "-fuse-ld=lld -flto=thin", "-ffunction-sections -Wl,--gc-sections"):
        yield c_case(f"clang {option}", "clang", f"-g -O2 {option}")
        yield Case(f"clang++ {option}", f"clang++ -g -O2 {option} -o it main.cpp",
                   why=(NEVER_DEBUG,), no_line=True)
    for option in ("-static", "-static-pie", "-no-pie", "-mx32", "-fuse-ld=gold",
                   "-Wl,-z,noseparate-code", "-Wl,-z,max-page-size=0x200000",
                   "-Wl,-Ttext=0x800000 -no-pie"):
        yield c_case(f"gcc {option}", "gcc", f"-g -O2 {option}", no_line=True,
                     build_id="-mx32" not in option)
    yield c_case("lld --no-rosegment", "clang", "-g -O2",
                 link="-fuse-ld=lld -Wl,--no-rosegment")
    yield c_case("lld --image-base", "clang", "-g -O2",
                 link="-fuse-ld=lld -no-pie -Wl,--image-base=0x10000000")
    yield Case("a shared library", f"gcc -g -O2 -fPIC -shared -o it {both}", why=(NEVER_DEBUG,))
    yield Case("musl, static", f"musl-gcc -g -O2 -static -o it {both}", why=(NEVER_DEBUG,))
    yield Case("dwz -m", f"g++ -g -O2 -o it main.cpp && g++ -g -O1 -o full main.cpp && "
               "cp it whole && dwz -m common it full", full="whole", why=(NEVER_DEBUG,))
    yield Case("dwz -m, the common file gone", f"g++ -g -O2 -o it main.cpp && cp it whole && "
               "g++ -g -O1 -o full main.cpp && dwz -m common it full && rm common",
               full="whole", less=1, why=("dwz's common", NEVER_DEBUG))
    yield c_case("gcc, .dwp", "gcc", "-g -O2 -gdwarf-4 -gsplit-dwarf",
                 before=f"gcc -g -O2 -gdwarf-4 -o full {both}",
                 after="dwp -e it && rm *.dwo", less=1,
                 why=(".dwo",), full="full", named=1)
    yield c_case("gcc, .dwo files moved", "gcc", "-g -O2 -gsplit-dwarf",
                 before=f"gcc -g -O2 -o full {both}", after="mkdir away && mv *.dwo away",
                 less=1, why=(".dwo",), full="full", named=1)
    yield Case("MiniDebugInfo", f"gcc -g -O2 -o full {both} && cp full it && "
               "nm full --format=posix --defined-only | awk '$2 ~ /[tT]/ {print $1}' >keep && "
               "objcopy --only-keep-debug full mini && "
               "objcopy -S --remove-section .comment --keep-symbols=keep mini mini 2>/dev/null; "
               "strip it && xz -f mini && objcopy --add-section .gnu_debugdata=mini.xz it",
               full="full", less=1, why=("no debug information",), named=0.7)
    yield Case("no section headers", f"gcc -g -O2 -o full {both} && cp full it && strip it && "
               "python3 -c 'f = open(\"it\", \"r+b\"); f.seek(40); f.write(bytes(8)); "
               "f.seek(58); f.write(bytes(6))'", full="full", less=1,
               why=("no section headers",), build_id=False)
    yield Case("Rust", "rustc -g -C opt-level=2 -o it main.rs", no_line=True,
               why=(NEVER_DEBUG,), less=0.02)
    yield Case("Rust, v0 names", "rustc -g -C opt-level=2 -C symbol-mangling-version=v0 "
               "-o it main.rs", no_line=True, why=(NEVER_DEBUG,), less=0.02)
    yield Case("Rust, not optimised", "rustc -g -o it main.rs", no_line=True, why=(NEVER_DEBUG,),
               less=0.02)
    yield Case("Fortran", "gfortran -g -O2 -o it main.f90", why=(NEVER_DEBUG,))
    yield Case("Ada", "gnatmake -q -g -O2 -o it main_ada.adb", no_line=True, why=(NEVER_DEBUG,))
    yield Case("Go", "go build -o it main.go", no_line=True, build_id=False, less=0.02,
               why=())
    yield Case("libc, with its debug file", "cp /lib/x86_64-linux-gnu/libc.so.6 it",
               truth="llvm", why=(), named=0.9, no_line=True, less=0.02)


def starts(places, path, names):
    """The functions that a return to the first byte of each of these is told to be in."""
    at = {}
    for address, group in symbols_at(path).items():
        for name in group:
            at[name] = address
    # of_ours() takes an address that is behind a call: these are not.
    answers = of_ours(places, path, [at[name] for name in names], build_id(path))
    return [frames[-1][0] for _, frames in answers]


FEET = """
#include <signal.h>
#include <ucontext.h>
static void handle(int number) { (void)number; }
static void run(void) { }
int main(void)
{
	static char stack[65536];
	ucontext_t own, other;

	signal(SIGUSR1, handle);
	raise(SIGUSR1);
	getcontext(&other);
	other.uc_stack.ss_sp = stack;
	other.uc_stack.ss_size = sizeof(stack);
	other.uc_link = &own;
	makecontext(&other, run, 0);
	return swapcontext(&own, &other);
}
"""


def feet_of_stacks(places, directory):
    """A signal's trampoline and a fiber's foot: nothing before them is theirs."""
    where = os.path.join(os.path.abspath(directory), "feet")
    os.makedirs(where, exist_ok=True)
    with open(os.path.join(where, "feet.c"), "w", encoding="ascii") as file:
        file.write(FEET)
    run("gcc -g -O2 -static -o feet feet.c && cp feet bare && strip bare", where)
    path = os.path.join(where, "feet")
    names = ["__restore_rt", "__start_context"]
    found = starts(places, path, names)
    if found != names:
        return f"{found}, not {names}"
    at = next(address for address, group in symbols_at(path).items() if names[0] in group)
    answers = of_ours(places, os.path.join(where, "bare"), [at], "-")
    found = answers[0][1][-1][0]
    return None if found == names[0] else f"stripped: {found}, not {names[0]}"


def main():
    parser = argparse.ArgumentParser(description="Compares symbols of every kind of binary.")
    parser.add_argument("places", help="the program that asks the tool's code")
    parser.add_argument("directory", help="where to build the binaries")
    parser.add_argument("--all", action="store_true", help="the cases that take long, too")
    parser.add_argument("--case", action="append", help="only those with this in their name")
    parser.add_argument("-v", "--verbose", action="count", default=0)
    options = parser.parse_args()
    os.environ.pop("DEBUGINFOD_URLS", None)
    os.environ["LC_ALL"] = "C"
    places = os.path.abspath(options.places)
    cases = list(core_cases())
    if options.all:
        cases += list(more_cases())
    failed = 0
    for number, case in enumerate(cases):
        if options.case and not any(part in case.name for part in options.case):
            continue
        where = os.path.join(os.path.abspath(options.directory), str(number))
        shutil.rmtree(where, ignore_errors=True)
        shutil.copytree(HERE, where)
        try:
            run(case.make, where)
            problem = judge(case, where, places, options.verbose)
        except RuntimeError as error:
            problem = str(error)
        print(f"{'not ' if problem else ''}ok {number + 1} - symbols: {case.name}"
              + (f": {problem}" if problem else ""), flush=True)
        failed += problem is not None
    if not options.case:
        problem = feet_of_stacks(places, options.directory)
        print(f"{'not ' if problem else ''}ok {len(cases) + 1} - symbols: feet of stacks"
              + (f": {problem}" if problem else ""))
        failed += problem is not None
    print(f"1..{len(cases) + 1}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
