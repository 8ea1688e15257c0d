#!/bin/sh
# Makes federation-bundle.tar.gz: our wheel, everything that it needs, the SHA-256 of each, and an installer that
# checks them and asks no index. For the Python and the kind of machine that it is made on.
#
#   scripts/bundle.sh PYTHON FOLDER [EXTRAS]      EXTRAS such as examples or stats,plot
#
# Making it asks a registry. Refuses a Python without pip, and what would have to be compiled at the other end.
set -eu
python=$1 folder=$2 extras=${3:-}
root=$(cd "$(dirname "$0")/.." && pwd)
bundle=$folder/federation-bundle
pip="$python -m pip --disable-pip-version-check --no-input"
registry() {
    echo "error: no registry answered, or it lacks a wheel; a bundle is made where a registry can be reached" >&2
    exit 4
}

rm -rf "$bundle"
mkdir -p "$bundle/wheels"
$pip wheel --quiet --no-deps --wheel-dir "$bundle/wheels" "$root" || registry
wheel=$(ls "$bundle"/wheels/*.whl)
$pip download --quiet --only-binary :all: --dest "$bundle/wheels" "$wheel${extras:+[$extras]}" || registry

cd "$bundle"
# One line a wheel, with its hash: pip takes nothing that is not listed here.
for each in wheels/*.whl; do
    file=${each#wheels/} && name=${file%%-*} && rest=${file#*-}
    echo "$name==${rest%%-*} --hash=sha256:$(sha256sum "$each" | cut -d ' ' -f 1)"
done > requirements.txt
"$python" -c 'import sys, sysconfig; print("%d.%d %s" % (*sys.version_info[:2], sysconfig.get_platform()))' > made-for.txt
cp "$root/LICENSE" .

cat > install.sh <<'INSTALL'
#!/bin/sh
# sh install.sh FOLDER: makes FOLDER a virtual environment with `federation` in it. PYTHON=python3.11 chooses the Python.
# Nothing is fetched: no index is asked, and a file with another SHA-256 than SHA256SUMS or requirements.txt is refused.
set -eu
[ $# -eq 1 ] || { echo "usage: sh install.sh FOLDER" >&2; exit 2; }
python=${PYTHON:-$(command -v python3.11 || command -v python3)}
mkdir -p "$1" && target=$(cd "$1" && pwd)
cd "$(dirname "$0")"
sha256sum --check --quiet SHA256SUMS || { echo "error: this bundle is not what was made; fetch it again" >&2; exit 3; }
here=$("$python" -c 'import sys, sysconfig; print("%d.%d %s" % (*sys.version_info[:2], sysconfig.get_platform()))')
[ "$here" = "$(cat made-for.txt)" ] || {
    echo "error: this bundle is for Python $(cat made-for.txt), here is $here" >&2
    echo "hint: PYTHON=python3.11 sh install.sh FOLDER chooses another Python" >&2
    exit 2
}
"$python" -m venv "$target" || { echo "error: no venv; on Debian: apt install python3-venv" >&2; exit 2; }
# --isolated and the empty file: no setting of this machine adds an index or a folder to look in.
PIP_CONFIG_FILE=/dev/null "$target/bin/python" -m pip --isolated --disable-pip-version-check install --quiet \
    --no-index --find-links wheels --require-hashes --only-binary :all: --requirement requirements.txt
echo "installed $("$target/bin/federation" --version) in $1; next: $1/bin/federation --help"
INSTALL
find . -type f ! -name SHA256SUMS | LC_ALL=C sort | xargs sha256sum > SHA256SUMS
cd ..
tar --sort=name --owner=0 --group=0 --numeric-owner -czf federation-bundle.tar.gz federation-bundle
count=$(ls federation-bundle/wheels | wc -l) size=$(du -m federation-bundle.tar.gz | cut -f 1)
echo "$folder/federation-bundle.tar.gz: $count wheels, $size MB, for Python $(cat federation-bundle/made-for.txt)"
echo "sha256 $(sha256sum federation-bundle.tar.gz | cut -d ' ' -f 1): tell it over another line than the bundle's"
