--  SPDX-License-Identifier: GPL-2.0
with Ada.Text_IO; use Ada.Text_IO;

procedure Main_Ada is

   procedure Outer (Value : Integer) is
      procedure Nested is
      begin
         Put_Line ("nested" & Integer'Image (Value));
      end Nested;
      pragma No_Inline (Nested);
   begin
      Nested;
      Put_Line (Integer'Image (Value));
   end Outer;
   pragma No_Inline (Outer);

   task Worker;

   task body Worker is
   begin
      Put_Line ("worker");
   end Worker;

begin
   for I in 1 .. 3 loop
      Outer (I);
   end loop;
end Main_Ada;
