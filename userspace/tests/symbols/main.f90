! SPDX-License-Identifier: GPL-2.0
module places
  implicit none
contains
  subroutine show(value)
    integer, intent(in) :: value
    print *, value
    call nested(value)
  contains
    subroutine nested(inner)
      integer, intent(in) :: inner
      print *, "nested", inner
    end subroutine nested
  end subroutine show
end module places

subroutine other(value)
  integer, intent(in) :: value
  write (*, *) value + 1
end subroutine other

program main
  use places
  implicit none
  integer :: i
  do i = 1, 3
    call show(i)
    call other(i)
  end do
end program main
