//! The functions of OpenSSL.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::null;

/// An `SSL`, a `BIO` or an object.
pub(super) type Pointer = *mut c_void;

const RTLD_NOW: c_int = 2;

unsafe extern "C" {
    fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// The functions of OpenSSL, from the library that `_ssl` itself uses.
pub(super) struct Functions {
    pub(super) read: unsafe extern "C" fn(Pointer, *mut u8, usize, *mut usize) -> c_int,
    pub(super) write: unsafe extern "C" fn(Pointer, *const u8, usize, *mut usize) -> c_int,
    pub(super) error: unsafe extern "C" fn(Pointer, c_int) -> c_int,
    pub(super) pending: unsafe extern "C" fn(Pointer) -> c_int,
    pub(super) shutdown: unsafe extern "C" fn(Pointer) -> c_int,
    pub(super) incoming: unsafe extern "C" fn(Pointer) -> Pointer,
    pub(super) outgoing: unsafe extern "C" fn(Pointer) -> Pointer,
    pub(super) bio_read: unsafe extern "C" fn(Pointer, *mut u8, c_int) -> c_int,
    pub(super) bio_write: unsafe extern "C" fn(Pointer, *const u8, c_int) -> c_int,
    pub(super) bio_pending: unsafe extern "C" fn(Pointer) -> usize,
}

// SAFETY: addresses of functions, valid for the life of the process: the library is never closed.
unsafe impl Send for Functions {}
// SAFETY: as above.
unsafe impl Sync for Functions {}

impl Functions {
    /// None where one is missing.
    pub(super) fn load(path: Option<&CStr>) -> Option<Self> {
        // SAFETY: a library that is loaded already, or the program itself; the path is a C string.
        let library = unsafe { dlopen(path.map_or(null(), CStr::as_ptr), RTLD_NOW) };
        if library.is_null() {
            return None;
        }
        /// # Safety
        /// `F` must be the type of the function of that name.
        unsafe fn find<F: Copy>(library: *mut c_void, name: &CStr) -> Option<F> {
            const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
            // SAFETY: an open library and a C string; a pointer to a function is a pointer, and its type is the caller's promise.
            unsafe {
                let symbol = dlsym(library, name.as_ptr());
                if symbol.is_null() { None } else { Some(std::mem::transmute_copy(&symbol)) }
            }
        }
        // SAFETY: the types are those of OpenSSL's headers, unchanged since 1.1.1.
        unsafe {
            Some(Self {
                read: find(library, c"SSL_read_ex")?,
                write: find(library, c"SSL_write_ex")?,
                error: find(library, c"SSL_get_error")?,
                pending: find(library, c"SSL_pending")?,
                shutdown: find(library, c"SSL_get_shutdown")?,
                incoming: find(library, c"SSL_get_rbio")?,
                outgoing: find(library, c"SSL_get_wbio")?,
                bio_read: find(library, c"BIO_read")?,
                bio_write: find(library, c"BIO_write")?,
                bio_pending: find(library, c"BIO_ctrl_pending")?,
            })
        }
    }
}
