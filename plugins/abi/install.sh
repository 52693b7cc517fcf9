#!/bin/sh
# Installs the header of polyport's plugins, with what pkg-config and CMake need to find it:
#   sh install.sh [--prefix=/usr/local] [--destdir=DIR] [--includedir=DIR] [--datadir=DIR]
# The directories are below the prefix unless they are given. PREFIX and DESTDIR of the environment are the same as the options.
# What is installed depends on no architecture, hence PREFIX/share for the two.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
prefix=${PREFIX:-/usr/local}
destdir=${DESTDIR:-}
includedir= datadir=
for word in "$@"; do
    case $word in
        --prefix=*) prefix=${word#*=} ;;
        --destdir=*) destdir=${word#*=} ;;
        --includedir=*) includedir=${word#*=} ;;
        --datadir=*) datadir=${word#*=} ;;
        --help) sed -n '2,5s/^# //p' "$0"; exit 0 ;;
        *) echo "install.sh: $word is no option; --help has them" >&2; exit 64 ;;
    esac
done
prefix=${prefix%/}
[ -n "$includedir" ] || includedir=$prefix/include
[ -n "$datadir" ] || datadir=$prefix/share
case $prefix in /*) ;; *) echo "install.sh: --prefix=$prefix: an absolute path is needed" >&2; exit 64 ;; esac
for dir in "$includedir" "$datadir"; do
    case $dir in "$prefix"/*) ;; *) echo "install.sh: $dir does not lie below the prefix $prefix" >&2; exit 64 ;; esac
done

header=$here/include/polyport_plugin.h
number() { sed -n "s/^#define $1 \([0-9][0-9]*\)u.*/\1/p" "$header"; }
version=$(number PP_ABI_MAJOR).$(number PP_ABI_MINOR)

# From the CMake package up to the prefix, a `..` for each name between.
up=$(printf '%s' "${datadir#"$prefix"/}/cmake/PolyportPlugin" | sed 's/[^/][^/]*/../g')

fill() {
    sed -e "s|@PREFIX@|$prefix|" -e "s|@INCLUDEDIR@|\${prefix}/${includedir#"$prefix"/}|" -e "s|@VERSION@|$version|" \
        -e "s|@UP@|$up|" -e "s|@INCLUDE@|${includedir#"$prefix"/}|" "$here/packaging/$1.in" >"$destdir$2/$1"
    chmod 644 "$destdir$2/$1"
}

mkdir -p "$destdir$includedir/polyport" "$destdir$datadir/pkgconfig" "$destdir$datadir/cmake/PolyportPlugin"
install -m 644 "$header" "$destdir$includedir/polyport/polyport_plugin.h"
fill polyport-plugin.pc "$datadir/pkgconfig"
fill PolyportPluginConfig.cmake "$datadir/cmake/PolyportPlugin"
fill PolyportPluginConfigVersion.cmake "$datadir/cmake/PolyportPlugin"
echo "installed the header of polyport's plugins, ABI $version, below $destdir$prefix"
