#!/bin/sh
# make_arm64.sh FOLDER: an arm64 Python with NumPy, to run in the emulator on another machine.
#
# Needs Debian with mmdebstrap and qemu-user-static, and pip (PYTHON names its Python).  Tests that
# need such a Python find it by NBDASK_ARM64=FOLDER; FOLDER/python starts it.
set -eu
mkdir -p "$1"
folder=$(cd "$1" && pwd)
here=$(. /etc/os-release && echo "$VERSION_CODENAME")
mmdebstrap --quiet --variant=extract --arch=arm64 \
  --include=python3,libpython3-stdlib,libstdc++6,zlib1g "$here" "$folder/system"
version=$(basename "$(readlink "$folder/system/usr/bin/python3")")
"${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check --no-deps \
  --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 \
  --platform manylinux2014_aarch64 --platform any --python-version "${version#python}" \
  --only-binary=:all: --target "$folder/site" \
  numpy click dask cloudpickle packaging toolz pyyaml fsspec
cat >"$folder/python" <<EOF
#!/bin/sh
# PYTHONPATH of the caller comes first.
export PYTHONPATH="\${PYTHONPATH:+\$PYTHONPATH:}$folder/site" PYTHONDONTWRITEBYTECODE=1
exec qemu-aarch64-static -L "$folder/system" "$folder/system/usr/bin/$version" "\$@"
EOF
chmod +x "$folder/python"
